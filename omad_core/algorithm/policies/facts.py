"""What is known of the members of a population beside their policies' weights."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from omad_core.config import ActorConfig


@dataclass(frozen=True)
class PolicyFacts:
    """What a kind of policy makes its shape of."""

    actor: ActorConfig
    """Settings of any member, for what they share."""
    numbers: Mapping[str, Tensor]
    """[P] each, by name: what the kind `reads` of the members' settings."""
    action_mask: Tensor
    """[A, U] or [P, A, U]: 1 for real action dimensions, 0 for padding."""
    noises: int
    """Normal numbers that one action dimension takes, the most of any member."""
    ragged: bool = False
    """Whether members take different numbers of them, or lanes are empty."""
    padded: bool = False
    """Whether any action dimension is padding."""
