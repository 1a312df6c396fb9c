"""Roster: the members of a population, their lanes, and when each of them begins."""

from collections.abc import Iterator

from omad_core.checkpoint.state import MemberState
from omad_core.config import TrainConfig, structure, update_rate
from omad_core.engine.member import Member, Phase
from omad_core.errors import CheckpointError, ConfigError
from omad_core.events import MemberId
from omad_core.stored_settings import resolved


class Roster:
    """Up to `capacity` members; an admitted one waits until its updates coincide with its neighbours'."""

    def __init__(self, config: TrainConfig, capacity: int, max_quantiles: int) -> None:
        self._config, self._capacity, self._max_quantiles = config, capacity, max_quantiles
        self._members: dict[MemberId, Member] = {}
        self._waiting: dict[MemberId, MemberState | None] = {}
        self._next_id = 0
        self.vector_steps = 0
        """The program's. A member's own may differ where that leaves its updates with the others'."""

    def admit(self, config: TrainConfig, state: MemberState | None) -> Member:
        """A member in a free lane, with the counters of its state. Raises ConfigError, CheckpointError."""
        self._check_fits(config)
        if state is not None and resolved(state.config) != resolved(config):
            raise CheckpointError("the checkpoint belongs to a training with other settings")
        member = Member(self._next_id, self._free_lane(), config)
        if state is not None:
            member.resume(state)
        self._next_id += 1
        self._members[member.id] = member
        self._waiting[member.id] = state
        return member

    def _check_fits(self, config: TrainConfig) -> None:
        mine, theirs = structure(self._config), structure(config)
        differing = [path for path in mine if mine[path] != theirs[path]]
        if differing:
            said = ", ".join(f"{path} = {theirs[path]!r} (here {mine[path]!r})" for path in differing)
            raise ConfigError(f"members of one population must agree on its structure; this one has {said}")
        if config.critic.quantiles > self._max_quantiles:
            raise ConfigError(
                f"critic.quantiles = {config.critic.quantiles} is more than this population's {self._max_quantiles}"
            )

    def _free_lane(self) -> int:
        taken = {m.lane for m in self._members.values()}
        free = (lane for lane in range(self._capacity) if lane not in taken)
        lane = next(free, None)
        if lane is None:
            raise ConfigError(
                f"all {self._capacity} places of this population are taken; evict a member first"
            )
        return lane

    def begin_due(self) -> Iterator[tuple[Member, MemberState | None]]:
        """Waiting members that can begin now, each with the state it resumes from; they wait no longer."""
        for member_id, state in list(self._waiting.items()):
            member = self._members[member_id]
            if not self.active():
                self.vector_steps = member.vector_steps
            apart = (self.vector_steps - member.vector_steps) * update_rate(member.config)
            if apart % member.config.policy_delay == 0:
                del self._waiting[member_id]
                yield member, state

    def begun(self) -> list[Member]:
        """All members that have begun."""
        return [m for m in self._members.values() if m.id not in self._waiting]

    def in_phase(self, phase: Phase) -> list[Member]:
        """Members that have begun and are in this phase, by lane."""
        return sorted((m for m in self.begun() if m.phase is phase), key=lambda m: m.lane)

    def active(self) -> list[Member]:
        """Members that train or are evaluated."""
        return self.in_phase(Phase.TRAINING) + self.in_phase(Phase.EVALUATING)

    def find(self, member: MemberId) -> Member:
        """Raises ConfigError for a member that is not here."""
        if member not in self._members:
            raise ConfigError(f"no member {member} in this population; it was evicted or never admitted")
        return self._members[member]

    def is_waiting(self, member: Member) -> bool:
        """Whether a member was admitted and has not begun."""
        return member.id in self._waiting

    def waiting_state(self, member: Member) -> MemberState | None:
        """The state that a waiting member will resume from."""
        return self._waiting.get(member.id)

    def remove(self, member: Member) -> None:
        """Free a member's lane."""
        del self._members[member.id]
        self._waiting.pop(member.id, None)
