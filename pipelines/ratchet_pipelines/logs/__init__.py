"""The log of a job: every process of it sends what it prints to the platform's storage, while it runs.

`capture` turns a process's output over to a `ship`per of its own, which makes `entries` of it, with secrets masked
(`redact`), and writes them in chunks. Nothing here is heavier than the standard library; the platform reads with it.
"""
