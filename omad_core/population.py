"""Population: the engine. Members trained side by side as one batched program."""

import time
from contextlib import AbstractContextManager

import torch

from omad_core.checkpoint.state import MemberState
from omad_core.config import TrainConfig
from omad_core.engine import devices
from omad_core.engine.clock import Clock
from omad_core.engine.evaluator import Evaluator
from omad_core.engine.graphs import RECORDING_SECONDS
from omad_core.engine.member import Member, Phase
from omad_core.engine.member_batch import MemberBatch
from omad_core.engine.roster import Roster
from omad_core.engine.trainer import Trainer
from omad_core.errors import CheckpointError, ConfigError
from omad_core.events import Busy, Diverged, Event, Finished, MemberId, Progress, Warned
from omad_core.policy import Policy

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
        torch_device = devices.device_of(device)
        self._member_batch = MemberBatch(
            config, capacity, torch_device, quantiles, env_threads or devices.env_threads(torch_device)
        )
        self._clock = Clock()
        self._trainer = Trainer(self._member_batch, self._clock)
        self._evaluator = Evaluator(self._member_batch, self._clock)
        self._announced, self._trained = False, False
        self.spec = self._member_batch.spec

    def admit(self, config: TrainConfig, state: MemberState | None = None) -> MemberId:
        """Start (or continue, from `state`) a member in a free lane. Raises ConfigError, CheckpointError.

        It begins with the first vector step at which its updates, the actors' too, fall together with its neighbours'.
        """
        member = self._roster.admit(config, state)
        try:
            if state is not None:
                self._member_batch.prepare(member, state)
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
            events += self._begin_waiting()
            made = self._work(deadline)
            events += made or []
            announced = any(isinstance(event, Busy) for event in made or [])
            going = made is not None and not announced and time.monotonic() < deadline
        return events + self._check_divergence() + self._progress()

    def _begin_waiting(self) -> list[Event]:
        """Begin the waiting members that can; those that had ended repeat their last event."""
        events: list[Event] = []
        for member, state in self._roster.begin_due():
            try:
                exact = self._member_batch.begin(member, state, self._roster.begun())
            except Exception as error:  # noqa: BLE001 - the border to users' environments: the others continue
                events.append(self._member_batch.mark_broken(member, error))
                continue
            if not exact:
                text = f"{self.spec.name} cannot save its state: the running episodes were cut and begin anew"
                events.append(Warned(member.id, member.env_steps, text))
            if member.phase is Phase.FINISHED:
                events.append(Progress(member.id, member.env_steps, member.updates, {}))
                events.append(Finished(member.id, member.env_steps))
            elif member.phase is Phase.DIVERGED:
                what = "it had diverged before its checkpoint"
                events.append(Diverged(member.id, member.env_steps, what))
        return events

    def _work(self, deadline: float) -> list[Event] | None:
        """One step of an evaluation or of training; None where there is nothing to do."""
        training = self._roster.in_phase(Phase.TRAINING)
        if not self._evaluator.running and (lost := self._evaluator.begin(training)):
            return lost
        if self._evaluator.running:
            return self._evaluator.advance(deadline)
        return self._train(training) if training else None

    def _train(self, members: list[Member]) -> list[Event]:
        """One vector step; one that records graphs first is announced by Busy and made in the next call."""
        if self._trainer.records_next(members) and not self._announced:
            self._announced = True
            return [Busy("recording CUDA graphs", RECORDING_SECONDS)]
        self._announced, self._trained = False, True
        events = self._trainer.step(members, self._roster.vector_steps)
        self._roster.vector_steps += 1
        return events

    def _check_divergence(self) -> list[Event]:
        """Members that diverged since the last check; those under evaluation were checked before it."""
        if not self._trained:
            return []
        self._trained = False
        finite = self._member_batch.learner.weights.finite()
        events: list[Event] = [
            self._member_batch.mark_diverged(m, "its weights are not finite")
            for m in self._roster.in_phase(Phase.TRAINING)
            if not finite[m.lane]
        ]
        self._member_batch.learner.weights.remember()
        return events

    def _progress(self) -> list[Event]:
        return [Progress(m.id, m.env_steps, m.updates, {}) for m in self._roster.active()]

    def snapshot(self, member: MemberId, stored: tuple[int, int] = (0, 0)) -> MemberState:
        """Complete state of a member, between two advances. Raises CheckpointError for one that is broken.

        stored: (replay.stop, replay.finals_stop) of an earlier snapshot, whose replay rows are left out of this one.
        """
        admitted = self._roster.find(member)
        if admitted.phase is Phase.BROKEN:
            raise CheckpointError(
                "this member is broken, in the midst of a step; resume from an earlier snapshot"
            )
        return self._state_of(admitted, stored)

    def _state_of(self, member: Member, stored: tuple[int, int]) -> MemberState:
        if self._roster.is_waiting(member):
            state = self._roster.waiting_state(member)
            if state is None:
                raise ConfigError("this member has not begun; advance the population before its snapshot")
            return state
        with self._clock.measure("saving"):
            return self._member_batch.state_of(member, stored)

    def saving(self) -> AbstractContextManager[None]:
        """Count the time of this block in `time/saving_share`, as that of snapshots."""
        return self._clock.measure("saving")

    def between_evaluations(self, member: MemberId) -> bool:
        """Whether all evaluations up to the member's step were reported: none is running, none is due."""
        admitted = self._roster.find(member)
        return admitted.phase is not Phase.EVALUATING and not admitted.due_for_evaluation()

    def policy(self, member: MemberId) -> Policy:
        """The member's current policy, to keep: a copy."""
        return Policy.of_member(self.spec, self._state_of(self._roster.find(member), EVERYTHING))

    def evict(self, member: MemberId) -> None:
        """Drop a member; its lane is free for the next admit, at once."""
        admitted = self._roster.find(member)
        self._roster.remove(admitted)
        self._evaluator.drop(admitted)
        self._clock.forget(member)

    def close(self) -> None:
        """Free environments and threads."""
        self._member_batch.close()
