"""MemberState: the complete state of one member, to stop here and resume elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omad_core.config import TrainConfig
from omad_core.errors import CheckpointError

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class ReplayRows:
    """A stretch of replay in the order it was written; observations once, not as s and s'.

    Numbers count from the member's first vector step (frames) and first ended episode (finals).
    """

    oldest: int
    """First frame still in the window."""
    start: int
    """First frame held here: `oldest`, or where an earlier checkpoint stopped."""
    stop: int
    """One past the last frame."""
    frames: Arrays
    """[stop - start, E, ...] per name."""
    oldest_final: int
    """First final observation still in the window; the two below as `start` and `stop`."""
    finals_start: int
    finals_stop: int
    finals: Arrays
    """[finals_stop - finals_start, ...] per name."""


@dataclass(frozen=True)
class MemberState:
    """Complete state of one member: restored, it trains on bit for bit (CPU, same thread count)."""

    config: TrainConfig
    counters: Mapping[str, int]
    """Vector steps done, and the one of the last evaluation (-1: none); the random state is a function of these."""
    arrays: Arrays
    """Weights, moments, statistics, log alpha, environment states, current observations."""
    records: Mapping[str, Any]
    """JSON-ready: evaluations so far, running episode returns."""
    replay: ReplayRows
    """The rows of the window, or those of them that no earlier checkpoint stored."""


def check_array(arrays: Arrays, name: str, shape: tuple[int, ...]) -> None:
    """Raise CheckpointError unless there is an array of this name and shape; -1 is any length."""
    if name not in arrays:
        raise CheckpointError(f"the checkpoint lacks {name!r}; it was made by another release")
    actual = arrays[name].shape
    if len(actual) != len(shape) or any(
        want not in (-1, have) for want, have in zip(shape, actual, strict=True)
    ):
        raise CheckpointError(f"the checkpoint's {name!r} has shape {actual}, here it is {shape}")
