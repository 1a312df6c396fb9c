"""Which environments of a vector a call is about, and whether the actions given for them fit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from omad_core.envs.base import FloatArray
from omad_core.errors import TaskError
from omad_core.task import TaskSpec


class Rows:
    """Checks indices and actions against the size of a vector environment."""

    def __init__(self, spec: TaskSpec, num_envs: int) -> None:
        if num_envs < 1:
            raise TaskError(f"num_envs = {num_envs} is too small; a vector environment has at least one")
        self._every = np.arange(num_envs)
        self._joint = (spec.num_agents, spec.action_width)

    def __call__(self, index: Sequence[int] | None) -> NDArray[np.int64]:
        """The given rows, or all of them. Raises TaskError for rows that do not exist or come twice."""
        if index is None:
            return self._every
        rows = np.asarray(index, dtype=np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self._every)):
            raise TaskError(f"environments {rows.tolist()} do not all exist; there are {len(self._every)}")
        if len(np.unique(rows)) < len(rows):
            raise TaskError(f"environments {rows.tolist()} name one twice; give each once")
        return rows

    def check(self, actions: FloatArray, rows: NDArray[np.int64]) -> None:
        """Raise TaskError unless actions are [n, A, U] for the n rows."""
        if actions.shape != (len(rows), *self._joint):
            raise TaskError(f"actions have shape {actions.shape}; expected {(len(rows), *self._joint)}")
