"""Policy: what a user takes home and calls."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omad_core.task import TaskSpec

FloatArray = NDArray[np.float32]


class Policy:
    """The decentralised policies of all agents of one task."""

    spec: TaskSpec

    @classmethod
    def load(cls, folder: Path | str) -> "Policy":
        """Read a policy folder. Raises CheckpointError."""
        raise NotImplementedError

    def save(self, folder: Path | str, extra: Mapping[str, Any] | None = None) -> None:
        """Write `policy.safetensors` and `policy.json` (digest of the former inside)."""
        raise NotImplementedError

    def act(
        self, obs: Mapping[str, NDArray[Any]], *, deterministic: bool = False, seed: int | None = None
    ) -> dict[str, FloatArray]:
        """Actions in the environment's units, {agent: [..., d_i]}, for observations {agent: [..., O_i]}.

        Agents may be asked alone. `seed`: makes the sample repeatable.
        """
        raise NotImplementedError
