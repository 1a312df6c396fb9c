"""Held-out seeds: what confirmations train with, and no search."""

HELD_OUT = 4_000_000_000_000
"""Held-out seed k trains with this plus k: above every seed of a search, the same for all candidates and studies."""


def held_out_seed(number: int) -> int:
    """The seed that held-out seed `number` trains with."""
    return HELD_OUT + number
