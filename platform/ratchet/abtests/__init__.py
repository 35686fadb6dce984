"""Comparing two variants of an endpoint on live traffic, and deciding."""
