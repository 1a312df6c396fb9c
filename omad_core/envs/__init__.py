"""Environments: many copies of one task, stepped in one call."""
