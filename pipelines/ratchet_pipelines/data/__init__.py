"""Data: a table by URI, its content hash, its split, and the preprocessing that becomes part of the model."""
