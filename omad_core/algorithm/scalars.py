"""Scalars: the numbers of each member's config that its program reads, as tensors [P]."""

from collections.abc import Callable

import torch
from torch import Tensor

from omad_core.algorithm.critics.categorical import support
from omad_core.algorithm.critics.heads import CategoricalHead, Head, QuantileHead, ScalarHead
from omad_core.algorithm.critics.quantile import midpoints
from omad_core.algorithm.objectives.objective import Objective
from omad_core.algorithm.policies.kinds import PolicyKind
from omad_core.config import ActorConfig, TrainConfig

READ: dict[str, Callable[[TrainConfig], float]] = {
    "gamma": lambda c: c.gamma,
    "actor_lr": lambda c: c.actor.learning_rate,
    "critic_lr": lambda c: c.critic.learning_rate,
    "grad_clip": lambda c: c.actor.grad_clip,
    "quantiles": lambda c: c.critic.quantiles,
    "drop_top": lambda c: c.critic.drop_top,
    "v_max": lambda c: c.critic.v_max,
    "entropy_bonus": lambda c: c.critic.entropy_bonus,
    "target_tau": lambda c: c.critic.target_tau,
    "renorm_warmup": lambda c: c.critic.renorm_warmup,
}


def _of_actor(read: Callable[[ActorConfig], float]) -> Callable[[TrainConfig], float]:
    return lambda config: read(config.actor)


class Scalars:
    """One tensor [P] for each number that learner, policies and objective read.

    A lane's values are exchanged when a member is admitted.
    """

    def __init__(
        self,
        config: TrainConfig,
        kind: PolicyKind,
        objective: Objective,
        capacity: int,
        device: torch.device,
    ) -> None:
        self._head = config.critic.head
        self._reads = {
            **READ,
            **{name: _of_actor(read) for name, read in kind.reads.items()},
            **objective.reads,
        }
        self._values = {
            name: torch.full((capacity,), float(read(config)), device=device)
            for name, read in self._reads.items()
        }

    def __getitem__(self, name: str) -> Tensor:
        return self._values[name]

    def put(self, lane: int, config: TrainConfig) -> None:
        """The config of the member that takes `lane`."""
        for name, read in self._reads.items():
            self._values[name][lane] = float(read(config))

    def head(self, atoms: int) -> Head:
        """The critic's head for the members as they are, padded to `atoms`."""
        if self._head == "categorical":
            v_max = self["v_max"]
            return CategoricalHead(support(v_max, atoms), v_max, self["entropy_bonus"])
        if self._head == "scalar":
            return ScalarHead()
        tau, real = midpoints(self["quantiles"], atoms)
        return QuantileHead(tau, real, self["drop_top"])
