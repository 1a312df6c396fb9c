"""Measures: what a researcher wants to see of the updates, summed on the device until somebody reads it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from omad_core.chain import Draw
from omad_core.heads import Head
from omad_core.layers import Params
from omad_core.task import TaskSpec

NAMES = (
    "critic_loss",
    "q_mean",
    "q_spread",
    "edge_mass",
    "critic_grad_norm",
    "actor_loss",
    "run_cost_per_dim",
    "entropy_bound",
    "alpha",
    "actor_grad_norm",
)


class Measures:
    """Sums of each measure over the updates since the last reading, [P, n]."""

    def __init__(self, spec: TaskSpec, capacity: int, device: torch.device) -> None:
        self._action_dim = spec.action_dim
        self.names = [f"train/{name}" for name in NAMES] + [f"train/entropy_bound_{a}" for a in spec.agents]
        self._critic, self._actor = slice(0, 5), slice(5, len(self.names))
        self.tensors: Params = {
            "sums": torch.zeros(capacity, len(self.names), device=device),
            "counts": torch.zeros(capacity, 1, device=device),
        }

    def clear(self, place: int) -> None:
        """Start a new stretch for one member."""
        for tensor in self.tensors.values():
            tensor[place].zero_()

    @torch.no_grad()
    def critic(
        self, loss: Tensor, out: Tensor, head: Head, gradients: Sequence[Tensor], learning: Tensor
    ) -> None:
        """Measures of one critic update: loss [P], predictions [P, C, N, M]."""
        out = out.detach()
        values = [loss, head.mean(out).mean((1, 2)), head.spread(out), head.edge_mass(out), _norm(gradients)]
        self._add(self._critic, torch.stack(values, 1), learning)

    @torch.no_grad()
    def actor(
        self, loss: Tensor, drawn: Draw, alpha: Tensor, gradients: Sequence[Tensor], learning: Tensor
    ) -> None:
        """Measures of one actor update: loss [P], alpha [P]."""
        entropy = -(drawn.cost + drawn.prior).mean(2)
        cost = drawn.cost.sum(1).mean(1) / self._action_dim
        values = torch.stack([loss, cost, entropy.sum(1), alpha, _norm(gradients)], 1)
        self._add(self._actor, torch.cat([values, entropy], 1), learning)
        self.tensors["counts"] += learning[:, None]

    def _add(self, columns: slice, values: Tensor, learning: Tensor) -> None:
        self.tensors["sums"][:, columns] += torch.where(learning[:, None], values, 0.0)

    def read(self, place: int) -> dict[str, float]:
        """Means since the last reading; nothing before the first update."""
        count = float(self.tensors["counts"][place, 0])
        sums = self.tensors["sums"][place].tolist()
        self.clear(place)
        return {name: value / count for name, value in zip(self.names, sums, strict=True)} if count else {}


def _norm(gradients: Sequence[Tensor]) -> Tensor:
    """Norm of each member's gradient: [P]."""
    norms = [torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients]
    whole: Tensor = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    return whole
