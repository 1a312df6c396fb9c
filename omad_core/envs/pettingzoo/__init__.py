"""PettingZoo's parallel environments, a user's own among them."""
