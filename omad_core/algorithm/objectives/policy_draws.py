"""What a draw of all agents' policies takes, once for each state of the batch."""

from omad_core.algorithm.policies.kinds import policy_kind
from omad_core.config import TrainConfig
from omad_core.task import TaskSpec


def of_policy(spec: TaskSpec, config: TrainConfig) -> tuple[int, ...]:
    """(A, B, U)"""
    return spec.num_agents, config.batch_size, spec.action_width


def noises(config: TrainConfig) -> int:
    """Normal numbers that one action dimension takes: the rows of such a draw."""
    return policy_kind(config.actor).noises(config.actor)
