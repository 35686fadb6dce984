"""Registered models. MLflow keeps models, versions and aliases; here is kept why an alias moved: gates and evidence."""
