"""Webhooks: a project's events, sent to addresses that it names."""
