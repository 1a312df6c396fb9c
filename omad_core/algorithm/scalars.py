"""Scalars: the numbers of each member's config that its program reads, as tensors [P]."""

from collections.abc import Callable

import torch
from torch import Tensor

from omad_core.categorical import support
from omad_core.config import TrainConfig
from omad_core.heads import CategoricalHead, Head, QuantileHead
from omad_core.quantile import midpoints

READ: dict[str, Callable[[TrainConfig], float]] = {
    "gamma": lambda c: c.gamma,
    "actor_lr": lambda c: c.actor.learning_rate,
    "critic_lr": lambda c: c.critic.learning_rate,
    "alpha_lr": lambda c: c.entropy.learning_rate,
    "alpha_target": lambda c: c.entropy.target,
    "alpha_learned": lambda c: float(c.entropy.mode == "learned"),
    "denoising_steps": lambda c: c.actor.denoising_steps,
    "sigma0": lambda c: c.actor.sigma0,
    "grad_clip": lambda c: c.actor.grad_clip,
    "quantiles": lambda c: c.critic.quantiles,
    "drop_top": lambda c: c.critic.drop_top,
    "v_max": lambda c: c.critic.v_max,
    "entropy_bonus": lambda c: c.critic.entropy_bonus,
    "renorm_warmup": lambda c: c.critic.renorm_warmup,
}


class Scalars:
    """One tensor [P] for each entry of READ; a place's values are exchanged when a member is admitted."""

    def __init__(self, config: TrainConfig, capacity: int, device: torch.device) -> None:
        self._head = config.critic.head
        self._values = {
            name: torch.full((capacity,), float(read(config)), device=device) for name, read in READ.items()
        }

    def __getitem__(self, name: str) -> Tensor:
        return self._values[name]

    def put(self, place: int, config: TrainConfig) -> None:
        """The config of the member that takes `place`."""
        for name, read in READ.items():
            self._values[name][place] = float(read(config))

    def head(self, atoms: int) -> Head:
        """The critic's head for the members as they are, padded to `atoms`."""
        if self._head == "categorical":
            v_max = self["v_max"]
            return CategoricalHead(support(v_max, atoms), v_max, self["entropy_bonus"])
        tau, real = midpoints(self["quantiles"], atoms)
        return QuantileHead(tau, real, self["drop_top"])
