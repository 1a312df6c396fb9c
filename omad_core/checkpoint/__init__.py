"""Checkpoints: the complete state of a member, as files."""
