"""Watching what endpoints are asked: checks for drift, alerts, and what an alert starts."""
