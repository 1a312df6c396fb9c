"""The algorithm: objectives, policies, critics, their weights and their updates."""
