"""Trainer: one vector step of every training member, and the updates that belong to it.

On a CPU: act, step the environments, update. Beside a device that computes while the host continues: act, begin the
updates, step the environments meanwhile. So there the updates of a vector step do not see that step's own
transitions yet, and nothing else differs.
"""

from collections.abc import Callable, Sequence
from math import floor

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from omad_core.config import update_rate
from omad_core.engine.clock import Clock
from omad_core.engine.member import Member
from omad_core.engine.member_batch import MemberBatch
from omad_core.engine.transfer import mark, send
from omad_core.events import Event, Progress, Warned

EDGE_MASS_LIMIT = 0.01
EVEN = 2.0
"""A critic that knows nothing yet has as much on the edge atoms as on any two; so many times that is no accident."""


class Trainer:
    """Acts, steps the environments, updates and reads the measures."""

    def __init__(self, member_batch: MemberBatch, clock: Clock) -> None:
        self._member_batch, self._clock = member_batch, clock
        self._rate = update_rate(member_batch.config)
        spec = member_batch.spec
        self._shape = (
            member_batch.capacity,
            member_batch.config.num_envs,
            spec.num_agents,
            spec.action_width,
        )
        self._updated = mark(member_batch.device)

    def records_next(self, members: Sequence[Member]) -> bool:
        """Whether the next step of these members begins with recording graphs, which takes long."""
        return self._member_batch.engine.stale and any(m.learning or not m.exploring for m in members)

    def step(self, members: Sequence[Member], vector_step: int) -> list[Event]:
        """One vector step of these members and the updates that follow it; `vector_step` is the program's."""
        updated, acting = self._updated, self._begin_acting(members)
        overlaps = self._member_batch.engine.overlaps
        if overlaps:
            self._learn(members, vector_step)
        with self._clock.measure("learning"):
            updated()
        actions = self._actions(members, acting)
        good = [m for m in members if np.isfinite(actions[m.lane]).all()]
        events: list[Event] = [
            self._member_batch.mark_diverged(m, "its actions are not finite")
            for m in members
            if m not in good
        ]
        if good:
            errors = self._simulate(good, actions)
            events += [self._member_batch.mark_broken(m, errors[m.lane]) for m in good if m.lane in errors]
            good = [m for m in good if m.lane not in errors]
            if not overlaps:
                self._learn(good, vector_step)
        for member in good:
            member.vector_steps += 1
            events += self._log(member)
        return events

    def _simulate(self, members: Sequence[Member], actions: NDArray[np.float32]) -> dict[int, Exception]:
        """By lane, what environments raised."""
        lanes = [m.lane for m in members]
        with self._clock.measure("environment"):
            return self._member_batch.collector.step(lanes, [m.config for m in members], actions[lanes])

    def _learn(self, members: Sequence[Member], vector_step: int) -> None:
        """The updates of the vector step under way."""
        learners = [m for m in members if m.learning]
        tick = floor(vector_step * self._rate)
        updates = floor((vector_step + 1) * self._rate) - tick
        if learners and updates:
            with self._clock.measure("learning"):
                for update in range(updates):
                    self._update(learners, tick, update)
                self._updated = mark(self._member_batch.device)

    def _begin_acting(self, members: Sequence[Member]) -> Callable[[], NDArray[np.float32]] | None:
        """A function that waits for the policies' next actions [P, E, A, U]; None where all members explore."""
        if all(m.exploring for m in members):
            return None
        member_batch = self._member_batch
        with self._clock.measure("acting"):
            noise = member_batch.acting_noise({m.lane: (m, m.vector_steps) for m in members})
            return member_batch.engine.act(member_batch.collector.obs, noise)

    def _actions(
        self, members: Sequence[Member], acting: Callable[[], NDArray[np.float32]] | None
    ) -> NDArray[np.float32]:
        """Actions [P, E, A, U]: the policies', and uniform ones of members that explore."""
        member_batch = self._member_batch
        with self._clock.measure("acting"):
            actions = np.zeros(self._shape, np.float32) if acting is None else acting()
        for member in members:
            if member.exploring:
                drawn = member_batch.collector.random_actions(
                    member.lane, member.vector_steps, member.config.seed
                )
                actions[member.lane] = drawn
        return actions

    def _update(self, learners: Sequence[Member], tick: int, update: int) -> None:
        """One critic update of these members, and every `policy_delay`-th time one of the actors."""
        member_batch, delay = self._member_batch, self._member_batch.config.policy_delay
        at = {m.lane: (m, m.ticks + update) for m in learners}
        learning = self._mask([m.lane for m in learners])
        draws, actors = member_batch.draws("critic", at), (tick + update) % delay == 0
        if actors:
            draws |= member_batch.draws(
                "actor", {lane: (m, position // delay) for lane, (m, position) in at.items()}
            )
        member_batch.engine.update(member_batch.indices(at), draws, actors, learning)

    def _mask(self, lanes: Sequence[int]) -> Tensor | None:
        """[P] which members learn; None for all."""
        if len(lanes) == self._member_batch.capacity:
            return None
        return send(np.isin(np.arange(self._member_batch.capacity), lanes), self._member_batch.device)

    def _log(self, member: Member) -> list[Event]:
        if not member.crossed(member.config.log_every_steps):
            return []
        metrics = self._member_batch.collector.episodes[member.lane].read()
        metrics |= self._member_batch.learner.measures.read(member.lane)
        metrics |= self._clock.rates(member.id, member.env_steps, member.updates)
        events: list[Event] = [Progress(member.id, member.env_steps, member.updates, metrics)]
        limit = max(EDGE_MASS_LIMIT, EVEN * 2.0 / member.config.critic.categories)
        if metrics.get("train/edge_mass", 0.0) > limit and "edge_mass" not in member.warned:
            member.warned.add("edge_mass")
            text = (
                f"{metrics['train/edge_mass']:.1%} of the predicted returns lie on the edge atoms: "
                f"critic.v_max = {member.config.critic.v_max:g} is too small; raise it"
            )
            events.append(Warned(member.id, member.env_steps, text))
        return events
