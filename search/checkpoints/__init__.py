"""A worker's folders and checkpoints."""
