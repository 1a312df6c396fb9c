"""Measures: what a researcher wants to see of the updates, summed on the device until it is read."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from omad_core.errors import CheckpointError
from omad_core.nn.layers import Params
from omad_core.task import TaskSpec

CRITIC = ("critic_loss", "q_mean", "q_spread", "edge_mass", "critic_grad_norm")
UNNAMED = (*CRITIC, "actor_loss", "run_cost_per_dim", "entropy_bound", "alpha", "actor_grad_norm")
"""What was measured, in this order, when checkpoints did not name it; followed by each agent's entropy bound."""


class Measures:
    """Sums of each measure over the updates since the last reading, [P, n]."""

    def __init__(self, spec: TaskSpec, metrics: Sequence[str], capacity: int, device: torch.device) -> None:
        """metrics: the names of what an update of the actors measures."""
        self._unnamed = [*UNNAMED, *(f"entropy_bound_{agent}" for agent in spec.agents)]
        self.names = [*CRITIC, *metrics]
        self.tensors: Params = {
            "sums": torch.zeros(capacity, len(self.names), device=device),
            "counts": torch.zeros(capacity, 1, device=device),
        }

    def clear(self, lane: int) -> None:
        """Start a new stretch for one member."""
        for tensor in self.tensors.values():
            tensor[lane].zero_()

    def add_critic(self, values: Mapping[str, Tensor], learning: Tensor) -> None:
        """Measures of one critic update, [P] each, where `learning` [P] is true."""
        self._add(self.names[: len(CRITIC)], slice(0, len(CRITIC)), values, learning)

    def add_actor(self, values: Mapping[str, Tensor], learning: Tensor) -> None:
        """Measures of one update of the actors, [P] each. Every one of them is counted."""
        self._add(self.names[len(CRITIC) :], slice(len(CRITIC), None), values, learning)
        self.tensors["counts"] += learning[:, None]

    @torch.no_grad()
    def _add(
        self, names: Sequence[str], columns: slice, values: Mapping[str, Tensor], learning: Tensor
    ) -> None:
        stacked = torch.stack([values[name] for name in names], 1)
        self.tensors["sums"][:, columns] += torch.where(learning[:, None], stacked, 0.0)

    def read(self, lane: int) -> dict[str, float]:
        """Means since the last reading, by `train/` name; nothing before the first update."""
        count = float(self.tensors["counts"][lane, 0])
        sums = self.tensors["sums"][lane].tolist()
        self.clear(lane)
        means = zip(self.names, sums, strict=True)
        return {f"train/{name}": value / count for name, value in means} if count else {}

    def names_in(self, records: Mapping[str, Any]) -> list[str]:
        """Names of the sums in a checkpoint with these records. Raises CheckpointError."""
        names = records.get("measures", self._unnamed)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise CheckpointError(f"the checkpoint's names of measures cannot be read: {names!r}")
        return names

    def arrange(self, sums: Tensor, names: Sequence[str]) -> Tensor:
        """Sums [n] under these names in the order of `self.names`; those that are missing are 0."""
        known = dict(zip(names, sums.unbind(), strict=True))
        return torch.stack([known.get(name, sums.new_zeros(())) for name in self.names])
