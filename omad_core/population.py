"""Population: the engine. Members trained side by side as one batched program."""

from omad_core.config import TrainConfig
from omad_core.events import Event, MemberId
from omad_core.policy import Policy
from omad_core.state import MemberState


class Population:
    """Up to `capacity` members trained side by side as one program.

    Members must agree on the structure of `config` (see `omad_core.config.structure`) and may differ in all
    else; K and M are padded to `max_denoising_steps` and `max_quantiles` (default: those of `config`).
    """

    def __init__(
        self,
        config: TrainConfig,
        capacity: int = 1,
        device: str = "cpu",
        max_denoising_steps: int | None = None,
        max_quantiles: int | None = None,
    ) -> None:
        raise NotImplementedError

    def admit(self, config: TrainConfig, state: MemberState | None = None) -> MemberId:
        """Start (or continue, from `state`) a member in a free place. Raises ConfigError, CheckpointError."""
        raise NotImplementedError

    def advance(self) -> list[Event]:
        """Train (or evaluate) a little, at most about half a second, and say what happened."""
        raise NotImplementedError

    def snapshot(self, member: MemberId) -> MemberState:
        """Complete state of a member, between two advances."""
        raise NotImplementedError

    def policy(self, member: MemberId) -> Policy:
        """The member's current policy, to keep: a copy."""
        raise NotImplementedError

    def evict(self, member: MemberId) -> None:
        """Drop a member; its place is free for the next admit, at once."""
        raise NotImplementedError

    def close(self) -> None:
        """Free environments and threads."""
        raise NotImplementedError
