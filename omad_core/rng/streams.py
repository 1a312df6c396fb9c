"""Randomness: every random number is a function of (seed, stream, block), so its state is a few integers.

A member's training depends on its own seed and its own counters alone. Resuming needs no generator state, and
neighbours in a population never draw from one another's streams.
"""

from enum import IntEnum

import numpy as np
import torch


class Stream(IntEnum):
    """What the numbers are for. The values are part of every result: never renumber."""

    INIT = 0
    RESET = 1
    EXPLORE = 2
    ACT = 3
    BATCH = 4
    TARGET = 5
    ACTOR = 6
    EVALUATE = 7
    EVALUATION_RESET = 8
    FINAL = 9
    RANDOM_PLAY = 10
    HASAC_OTHERS = 11
    HASAC_AGAIN = 12
    HASAC_ORDER = 13
    MADPMD_CANDIDATES = 14
    MADPMD_LEVELS = 15
    MADPMD_NOISE = 16


def derive(seed: int, stream: int, *block: int) -> int:
    """A 63-bit seed for one block of one stream."""
    words = np.random.SeedSequence([seed, int(stream), *block]).generate_state(2, np.uint64)
    return int(words[0] >> np.uint64(1))


def generator(device: torch.device, seed: int, stream: int, *block: int) -> torch.Generator:
    """A generator for one block of one stream. CPU and CUDA draw different numbers from the same seed."""
    return torch.Generator(device).manual_seed(derive(seed, stream, *block))


def env_seeds(seed: int, stream: Stream, env: int, episodes: range) -> list[int]:
    """Reset seeds of one environment's episodes, of 31 bits, which every simulator accepts."""
    return [derive(seed, stream, env, episode) & 0x7FFFFFFF for episode in episodes]
