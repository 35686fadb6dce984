"""Tenants: a project owns jobs, models, endpoints and tokens, and sees nothing of another's."""
