"""Target networks of the critics, as groups of an objective: copies that follow by `critic.target_tau` an update."""

from collections.abc import Mapping

from torch import Tensor

from omad_core.algorithm.objectives.objective import FirstWeights, Group, Networks
from omad_core.config import TrainConfig
from omad_core.nn.layers import Params, move
from omad_core.task import TaskSpec


def _critic(config: TrainConfig, spec: TaskSpec, fresh: FirstWeights) -> Params:
    return dict(fresh.critic) if config.critic.target_tau else {}


def _statistics(config: TrainConfig, spec: TaskSpec, fresh: FirstWeights) -> Params:
    return dict(fresh.statistics) if config.critic.target_tau else {}


TARGETS: Mapping[str, Group] = {
    "target_critic": Group(_critic, atoms=True),
    "target_statistics": Group(_statistics),
}
"""Empty where there are none: target_tau = 0, as in CrossQ."""


def targets(networks: Networks) -> tuple[Params, Params] | None:
    """Parameters and statistics of the target networks, or None where there are none."""
    critic = networks.own["target_critic"]
    return (critic, networks.own["target_statistics"]) if critic else None


def follow(networks: Networks, learning: Tensor) -> None:
    """Move the target networks towards the live ones, their statistics too, where `learning` [P] is true."""
    tau = networks.number("target_tau")
    move(networks.own["target_critic"], networks.critic, tau, learning)
    move(networks.own["target_statistics"], networks.statistics, tau, learning)
