"""Population: the engine. Members trained side by side as one batched program."""

import time
from contextlib import AbstractContextManager

import torch

from omad_core import devices
from omad_core.config import TrainConfig
from omad_core.errors import CheckpointError, ConfigError
from omad_core.evaluator import Evaluator
from omad_core.events import Busy, Diverged, Event, Finished, MemberId, Progress, Warned
from omad_core.graphs import RECORDING_SECONDS
from omad_core.member import Member, Phase
from omad_core.policy import Policy
from omad_core.program import Program
from omad_core.roster import Roster
from omad_core.state import MemberState
from omad_core.timing import Clock
from omad_core.trainer import Trainer

EVERYTHING = (2**62, 2**62)
"""All replay rows are stored already: a snapshot without replay."""


class Population:
    """Up to `capacity` members trained side by side as one program.

    Members must agree on the structure of `config` (see `omad_core.config.structure`) and may differ in all
    else; the number of quantiles is padded to `max_quantiles` (default: that of `config`), chains to the longest.
    MuJoCo is stepped by `env_threads`; by default one, beside a CUDA device as many as torch was given.
    """

    def __init__(
        self,
        config: TrainConfig,
        capacity: int = 1,
        device: str = "cpu",
        max_quantiles: int | None = None,
        env_threads: int | None = None,
        slice_seconds: float = 0.3,
    ) -> None:
        self._slice_seconds, self._matmul_precision = slice_seconds, config.matmul_precision
        quantiles = max_quantiles or config.critic.quantiles
        self._roster = Roster(config, capacity, quantiles)
        place = devices.device_of(device)
        self._program = Program(config, capacity, place, quantiles, env_threads or devices.env_threads(place))
        self._clock = Clock()
        self._trainer = Trainer(self._program, self._clock)
        self._evaluator = Evaluator(self._program, self._clock)
        self._announced, self._trained = False, False
        self.spec = self._program.spec

    def admit(self, config: TrainConfig, state: MemberState | None = None) -> MemberId:
        """Start (or continue, from `state`) a member in a free place. Raises ConfigError, CheckpointError.

        It begins with the first vector step at which its actor updates fall together with its neighbours'.
        """
        member = self._roster.admit(config, state)
        try:
            if state is not None:
                self._program.check(member, state)
        except Exception:  # a user's environment that takes its state back may raise anything
            self._roster.remove(member)
            raise
        return member.id

    def advance(self) -> list[Event]:
        """Train (or evaluate) for about `slice_seconds`, one step at least, and say what happened."""
        torch.set_float32_matmul_precision(self._matmul_precision)
        events: list[Event] = []
        deadline = time.monotonic() + self._slice_seconds
        going = True
        while going:
            events += self._seat_waiting()
            made = self._work(deadline)
            events += made or []
            announced = any(isinstance(event, Busy) for event in made or [])
            going = made is not None and not announced and time.monotonic() < deadline
        return events + self._mind_divergence() + self._progress()

    def _seat_waiting(self) -> list[Event]:
        """Let members begin whose time has come; those that had ended say so again."""
        events: list[Event] = []
        for member, state in self._roster.begin_due():
            try:
                exact = self._program.seat(member, state, self._roster.seated())
            except Exception as error:  # noqa: BLE001 - the border to users' environments: the others go on
                events.append(self._program.give_up(member, error))
                continue
            if not exact:
                text = f"{self.spec.name} cannot save its state: the running episodes were cut and begin anew"
                events.append(Warned(member.id, member.env_steps, text))
            if member.phase is Phase.FINISHED:
                events.append(Finished(member.id, member.env_steps))
            elif member.phase is Phase.DIVERGED:
                what = "it had diverged before its checkpoint"
                events.append(Diverged(member.id, member.env_steps, what))
        return events

    def _work(self, deadline: float) -> list[Event] | None:
        """One step of what is to be done: evaluate, or train; None where there is nothing."""
        training = self._roster.in_phase(Phase.TRAINING)
        if not self._evaluator.running and (lost := self._evaluator.begin(training)):
            return lost
        if self._evaluator.running:
            return self._evaluator.advance(deadline)
        return self._train(training) if training else None

    def _train(self, members: list[Member]) -> list[Event]:
        """One vector step; where it will be silent for long, this is said first, and it is made next time."""
        if self._trainer.records_next(members) and not self._announced:
            self._announced = True
            return [Busy("recording CUDA graphs", RECORDING_SECONDS)]
        self._announced, self._trained = False, True
        events = self._trainer.step(members, self._roster.tick)
        self._roster.tick += self._trainer.updates_a_step
        return events

    def _mind_divergence(self) -> list[Event]:
        """Who has diverged since the last look; whoever is under evaluation was looked at before it."""
        if not self._trained:
            return []
        self._trained = False
        finite = self._program.learner.weights.finite()
        events: list[Event] = [
            self._program.lose(m, "its weights are not finite")
            for m in self._roster.in_phase(Phase.TRAINING)
            if not finite[m.place]
        ]
        self._program.learner.weights.remember()
        return events

    def _progress(self) -> list[Event]:
        return [Progress(m.id, m.env_steps, m.updates, {}) for m in self._roster.going()]

    def snapshot(self, member: MemberId, stored: tuple[int, int] = (0, 0)) -> MemberState:
        """Complete state of a member, between two advances. Raises CheckpointError for one that is broken.

        stored: (replay.stop, replay.finals_stop) of an earlier snapshot, whose replay rows are left out of this one.
        """
        found = self._roster.find(member)
        if found.phase is Phase.BROKEN:
            raise CheckpointError(
                "this member is broken, in the midst of a step; go on from an earlier snapshot"
            )
        return self._state_of(found, stored)

    def _state_of(self, member: Member, stored: tuple[int, int]) -> MemberState:
        if self._roster.waits(member):
            state = self._roster.waits_with(member)
            if state is None:
                raise ConfigError("this member has not begun; advance the population before its snapshot")
            return state
        with self._clock.measure("saving"):
            return self._program.state_of(member, stored)

    def saving(self) -> AbstractContextManager[None]:
        """What its owner does in this block is counted in `time/saving_share`, as snapshots are."""
        return self._clock.measure("saving")

    def between_evaluations(self, member: MemberId) -> bool:
        """Whether all evaluations up to the member's step have been told: none is running, none is due."""
        found = self._roster.find(member)
        return found.phase is not Phase.EVALUATING and not found.due_for_evaluation()

    def policy(self, member: MemberId) -> Policy:
        """The member's current policy, to keep: a copy."""
        return Policy.of_member(self.spec, self._state_of(self._roster.find(member), EVERYTHING))

    def evict(self, member: MemberId) -> None:
        """Drop a member; its place is free for the next admit, at once."""
        found = self._roster.find(member)
        self._roster.remove(found)
        self._evaluator.drop(found)
        self._clock.forget(member)

    def close(self) -> None:
        """Free environments and threads."""
        self._program.close()
