"""Custom jobs: the user's own program, on the cluster.

`job` is the whole; `fetch` gets the code there, `process` runs it and leaves nothing of it behind.
"""
