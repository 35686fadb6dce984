"""Batch prediction: a table in, the same table with the model's answers out, chunk by chunk.

`job` is the whole; `plan` says which chunks there are and which are done, `chunks` predicts one, `worker` is the
process that does so.
"""
