"""Watching an endpoint: the drift check, a job like any other."""
