"""Policies: how an agent draws an action."""
