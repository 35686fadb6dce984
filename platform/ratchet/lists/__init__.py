"""Lists of resources: what they can be filtered and ordered by, the grammar of that, and their pages."""
