"""Code that was uploaded for custom jobs: archives by their content. Nothing of it is ever run or unpacked here."""
