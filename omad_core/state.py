"""MemberState: everything one member is, so that it can stop here and go on elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omad_core.config import TrainConfig

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class ReplayRows:
    """A stretch of replay in the order it was written; observations once, not as s and s'."""

    start: int
    """Number of the first vector step held, counted from the member's first."""
    stop: int
    """One past the last vector step held."""
    frames: Arrays
    """[stop - start, E, ...] per name."""
    finals_start: int
    """Number of the first final observation held (those that end an episode), counted likewise."""
    finals: Arrays
    """[n, ...] per name."""


@dataclass(frozen=True)
class MemberState:
    """Complete state of one member: restored, it trains on bit for bit (CPU, same thread count)."""

    config: TrainConfig
    counters: Mapping[str, int]
    """Environment steps, updates, episodes, block numbers: the random state is a function of these."""
    arrays: Arrays
    """Weights, moments, statistics, log alpha, environment states, current observations."""
    records: Mapping[str, Any]
    """JSON-ready: evaluations so far, running episode returns."""
    replay: ReplayRows
    """All rows still in the window; a checkpoint writes those it has not stored yet."""
