"""VectorEnv: many copies of one task, stepped in one call. Nothing resets itself."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from omad_core.errors import EnvironmentFailed, OmadError
from omad_core.task import TaskSpec

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
EnvState = dict[str, NDArray[np.generic]]
"""Exact state of one environment, as named arrays only (bit generators as integer arrays)."""


class Step(NamedTuple):
    """What the stepped environments answered, in the order of the given indices; n environments."""

    obs: FloatArray
    """[n, A, O] local observations, padded with zeros."""
    state: FloatArray
    """[n, S] global state."""
    reward: FloatArray
    """[n] team reward."""
    terminated: BoolArray
    """[n] the episode ended by the task's own rule: nothing follows."""
    truncated: BoolArray
    """[n] the episode was cut by its horizon: the return is not."""


class StepRaised(OmadError):
    """Some environments failed while they were stepped; the others were stepped all the same."""

    def __init__(self, errors: Mapping[int, EnvironmentFailed], answer: Step) -> None:
        super().__init__(str(next(iter(errors.values()))))
        self.errors = dict(errors)
        """By environment."""
        self.answer = answer
        """Of all environments that were asked; what it says of those that failed counts for nothing."""


class VectorEnv(Protocol):
    """`num_envs` independent environments of one task."""

    spec: TaskSpec
    num_envs: int

    def reset(self, index: Sequence[int], seeds: Sequence[int]) -> None:
        """Start a new episode in the environments `index`, each determined by its seed alone."""
        ...

    def observe(self) -> tuple[FloatArray, FloatArray]:
        """Observations [num_envs, A, O] and states [num_envs, S] of all environments as they stand."""
        ...

    def step(self, actions: FloatArray, index: Sequence[int] | None = None) -> Step:
        """Step the environments `index` (default: all) with actions [n, A, U] in [-1, 1].

        Actions are scaled to each agent's box; padded dimensions are ignored. Raises StepRaised.
        """
        ...

    def save(self, index: int) -> EnvState:
        """Exact state of one environment: restored, the same actions give bit for bit the same steps."""
        ...

    def restore(self, index: int, state: EnvState) -> None:
        """Put one environment into a saved state. Raises CheckpointError where it does not fit."""
        ...

    def close(self) -> None:
        """Free threads and simulators."""
        ...
