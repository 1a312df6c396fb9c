"""Trainer: one vector step of every training member, and the updates that belong to it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from omad_core.collector import to_actions
from omad_core.events import Event, Progress, Warned
from omad_core.member import Member
from omad_core.program import Program
from omad_core.streams import Stream
from omad_core.timing import Clock

EDGE_MASS_LIMIT = 0.01


class Trainer:
    """Acts, steps the environments, updates and reads the measures."""

    def __init__(self, program: Program, clock: Clock) -> None:
        self._program, self._clock = program, clock
        self.updates_a_step = program.config.num_envs * program.config.updates_per_step

    def step(self, members: Sequence[Member], tick: int) -> list[Event]:
        """One vector step of these members and the updates that follow it; `tick` is the program's."""
        actions = self._act(members)
        good = [m for m in members if np.isfinite(actions[m.place]).all()]
        events: list[Event] = [
            self._program.lose(m, "its actions are not finite") for m in members if m not in good
        ]
        if good:
            self._simulate(good, actions)
            self._learn(good, tick)
        for member in good:
            member.vector_steps += 1
            events += self._log(member)
        return events

    def _simulate(self, members: Sequence[Member], actions: NDArray[np.float32]) -> None:
        places = [m.place for m in members]
        with self._clock.measure("environment"):
            self._program.collector.step(places, [m.config for m in members], actions[places])

    def _learn(self, members: Sequence[Member], tick: int) -> None:
        """The updates of the vector step under way."""
        learners = [m for m in members if m.learning]
        if learners:
            with self._clock.measure("learning"):
                for update in range(self.updates_a_step):
                    self._update(learners, tick, update)

    def _act(self, members: Sequence[Member]) -> NDArray[np.float32]:
        """Actions [P, E, A, U]; zeros where nobody trains."""
        program = self._program
        spec, collector = program.spec, program.collector
        shape = (program.capacity, program.config.num_envs, spec.num_agents, spec.action_width)
        if all(m.exploring for m in members):
            actions = np.zeros(shape, np.float32)
        else:
            with self._clock.measure("acting"):
                noise = program.noise_of(Stream.ACT, {m.place: (m, m.vector_steps) for m in members})
                obs = torch.from_numpy(collector.obs).transpose(1, 2).to(program.device)
                actions = to_actions(program.learner.act(obs, noise)).copy()
        for member in members:
            if member.exploring:
                drawn = collector.random_actions(member.place, member.vector_steps, member.config.seed)
                actions[member.place] = drawn
        return actions

    def _update(self, learners: Sequence[Member], tick: int, update: int) -> None:
        """One critic update of these members, and every `policy_delay`-th time one of the actors."""
        program, delay = self._program, self._program.config.policy_delay
        at = {m.place: (m, m.ticks + update) for m in learners}
        learning = self._mask([m.place for m in learners])
        batch = program.replay.sample(program.indices_of(at), program.learner.scalars["gamma"])
        actors_too = (tick + update) % delay == 0
        noise = program.noise_of(Stream.TARGET, at)
        program.learner.update_critic(batch, noise, learning, actors_too)
        if actors_too:
            later = {place: (m, position // delay) for place, (m, position) in at.items()}
            program.learner.update_actor(batch, program.noise_of(Stream.ACTOR, later), learning)

    def _mask(self, places: Sequence[int]) -> torch.Tensor | None:
        if len(places) == self._program.capacity:
            return None
        mask = torch.zeros(self._program.capacity, dtype=torch.bool)
        mask[list(places)] = True
        return mask.to(self._program.device)

    def _log(self, member: Member) -> list[Event]:
        if not member.crossed(member.config.log_every_steps):
            return []
        metrics = self._program.collector.episodes[member.place].read()
        metrics |= self._program.learner.measures.read(member.place)
        metrics |= self._clock.rates(member.id, member.env_steps, member.updates)
        events: list[Event] = [Progress(member.id, member.env_steps, member.updates, metrics)]
        if metrics.get("train/edge_mass", 0.0) > EDGE_MASS_LIMIT and "edge_mass" not in member.warned:
            member.warned.add("edge_mass")
            text = (
                f"{metrics['train/edge_mass']:.1%} of the predicted returns lie on the edge atoms: "
                f"critic.v_max = {member.config.critic.v_max:g} is too small; raise it"
            )
            events.append(Warned(member.id, member.env_steps, text))
        return events
