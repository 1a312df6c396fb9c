"""Trainer: one vector step of every training member, and the updates that belong to it.

On a CPU: act, step the environments, update. Beside a device that computes while the host goes on: act, begin the
updates, step the environments meanwhile. So there the updates of a vector step do not see that step's own
transitions yet, and nothing else differs.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from omad_core.events import Event, Progress, Warned
from omad_core.member import Member
from omad_core.program import Program
from omad_core.streams import Stream
from omad_core.timing import Clock
from omad_core.transfer import mark, send

EDGE_MASS_LIMIT = 0.01
EVEN = 2.0
"""A critic that knows nothing yet has as much on the edge atoms as on any two; so many times that is no accident."""


class Trainer:
    """Acts, steps the environments, updates and reads the measures."""

    def __init__(self, program: Program, clock: Clock) -> None:
        self._program, self._clock = program, clock
        self.updates_a_step = program.config.num_envs * program.config.updates_per_step
        spec = program.spec
        self._shape = (program.capacity, program.config.num_envs, spec.num_agents, spec.action_width)
        self._updated = mark(program.device)

    def records_next(self, members: Sequence[Member]) -> bool:
        """Whether the next step of these members begins with recording graphs, which takes long."""
        return self._program.engine.stale and any(m.learning or not m.exploring for m in members)

    def step(self, members: Sequence[Member], tick: int) -> list[Event]:
        """One vector step of these members and the updates that follow it; `tick` is the program's."""
        updated, acting = self._updated, self._begin_acting(members)
        overlaps = self._program.engine.overlaps
        if overlaps:
            self._learn(members, tick)
        with self._clock.measure("learning"):
            updated()
        actions = self._actions(members, acting)
        good = [m for m in members if np.isfinite(actions[m.place]).all()]
        events: list[Event] = [
            self._program.lose(m, "its actions are not finite") for m in members if m not in good
        ]
        if good:
            errors = self._simulate(good, actions)
            events += [self._program.give_up(m, errors[m.place]) for m in good if m.place in errors]
            good = [m for m in good if m.place not in errors]
            if not overlaps:
                self._learn(good, tick)
        for member in good:
            member.vector_steps += 1
            events += self._log(member)
        return events

    def _simulate(self, members: Sequence[Member], actions: NDArray[np.float32]) -> dict[int, Exception]:
        """By place, what environments raised."""
        places = [m.place for m in members]
        with self._clock.measure("environment"):
            return self._program.collector.step(places, [m.config for m in members], actions[places])

    def _learn(self, members: Sequence[Member], tick: int) -> None:
        """The updates of the vector step under way."""
        learners = [m for m in members if m.learning]
        if learners:
            with self._clock.measure("learning"):
                for update in range(self.updates_a_step):
                    self._update(learners, tick, update)
                self._updated = mark(self._program.device)

    def _begin_acting(self, members: Sequence[Member]) -> Callable[[], NDArray[np.float32]] | None:
        """What the policies do next, [P, E, A, U], as soon as it is known; None where nobody needs it."""
        if all(m.exploring for m in members):
            return None
        program = self._program
        with self._clock.measure("acting"):
            noise = program.noise_of(Stream.ACT, {m.place: (m, m.vector_steps) for m in members})
            return program.engine.act(program.collector.obs, noise)

    def _actions(
        self, members: Sequence[Member], acting: Callable[[], NDArray[np.float32]] | None
    ) -> NDArray[np.float32]:
        """Actions [P, E, A, U]: the policies', and uniform ones of members that explore."""
        program = self._program
        with self._clock.measure("acting"):
            actions = np.zeros(self._shape, np.float32) if acting is None else acting()
        for member in members:
            if member.exploring:
                drawn = program.collector.random_actions(
                    member.place, member.vector_steps, member.config.seed
                )
                actions[member.place] = drawn
        return actions

    def _update(self, learners: Sequence[Member], tick: int, update: int) -> None:
        """One critic update of these members, and every `policy_delay`-th time one of the actors."""
        program, delay = self._program, self._program.config.policy_delay
        at = {m.place: (m, m.ticks + update) for m in learners}
        learning = self._mask([m.place for m in learners])
        indices, target = program.indices_of(at), program.noise_of(Stream.TARGET, at)
        actor = None
        if (tick + update) % delay == 0:
            later = {place: (m, position // delay) for place, (m, position) in at.items()}
            actor = program.noise_of(Stream.ACTOR, later)
        program.engine.update(indices, target, actor, learning)

    def _mask(self, places: Sequence[int]) -> Tensor | None:
        """[P] who learns; None for all."""
        if len(places) == self._program.capacity:
            return None
        return send(np.isin(np.arange(self._program.capacity), places), self._program.device)

    def _log(self, member: Member) -> list[Event]:
        if not member.crossed(member.config.log_every_steps):
            return []
        metrics = self._program.collector.episodes[member.place].read()
        metrics |= self._program.learner.measures.read(member.place)
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
