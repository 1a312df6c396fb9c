"""Measurements of this machine: environments, updates, acting and checkpoints, each beside what it is compared with."""
