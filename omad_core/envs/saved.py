"""Saved environments: does a state fit, and bit generators as arrays."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from omad_core.envs.base import EnvState
from omad_core.errors import CheckpointError


def check_fit(state: EnvState, like: Mapping[str, NDArray[Any]], task: str) -> None:
    """Raise CheckpointError unless `state` has the names, shapes and types of `like`."""
    if state.keys() != like.keys():
        raise CheckpointError(
            f"saved environment does not fit task {task!r}: it holds {sorted(state)}, expected {sorted(like)}"
        )
    for name, expected in like.items():
        found = state[name]
        if found.shape != expected.shape or found.dtype != expected.dtype:
            raise CheckpointError(
                f"saved environment does not fit task {task!r}: {name} is {found.dtype}{list(found.shape)}, "
                f"expected {expected.dtype}{list(expected.shape)}"
            )
