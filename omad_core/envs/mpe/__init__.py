"""The multi-agent particle environments."""
