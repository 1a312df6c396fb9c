"""Evaluator: which members are due, the running evaluation, and what follows from its returns."""

import time
from collections.abc import Sequence

from omad_core.engine.clock import Clock
from omad_core.engine.evaluation import Evaluation, Subject
from omad_core.engine.member import Member, Phase
from omad_core.engine.member_batch import MemberBatch
from omad_core.events import Evaluated, Event, Finished


class Evaluator:
    """At most one evaluation at a time; no member trains meanwhile."""

    def __init__(self, member_batch: MemberBatch, clock: Clock) -> None:
        self._member_batch, self._clock = member_batch, clock
        self._running: Evaluation | None = None
        self._members: list[Member] = []

    @property
    def running(self) -> bool:
        """Whether an evaluation is under way."""
        return self._running is not None

    def begin(self, training: Sequence[Member]) -> list[Event]:
        """Start evaluating the members that are due; those whose weights are not finite have diverged."""
        due = [m for m in training if m.due_for_evaluation()]
        if not due:
            return []
        member_batch, finite = self._member_batch, self._member_batch.learner.weights.finite()
        lost: list[Event] = [
            member_batch.mark_diverged(m, "its weights are not finite") for m in due if not finite[m.lane]
        ]
        due = [m for m in due if finite[m.lane]]
        for member in due:
            member.phase = Phase.EVALUATING
        if due:
            noise, subjects = member_batch.evaluation_noise, [_subject(m) for m in due]
            self._running = Evaluation(member_batch.evaluation_env, member_batch.learner, noise, subjects)
            self._members = due
        return lost + self._drop_broken()

    def advance(self, deadline: float) -> list[Event]:
        """Some steps of the running evaluation; its results when it is done."""
        running = self._running
        if running is None:
            return []
        with self._clock.measure("evaluating"):
            going = not running.done  # what was left may have been dropped
            while going:
                running.step()
                going = not running.done and time.monotonic() < deadline
        broken = self._drop_broken()
        if not running.done:
            return broken
        self._running = None
        return broken + [event for member in self._members for event in _conclude(running, member)]

    def _drop_broken(self) -> list[Event]:
        """Drop the members whose environments raised; the others are evaluated."""
        errors = self._running.errors if self._running is not None else {}
        broken = [m for m in self._members if m.lane in errors]
        for member in broken:
            self.drop(member)
        return [self._member_batch.mark_broken(m, errors[m.lane]) for m in broken]

    def drop(self, member: Member) -> None:
        """Stop the episodes of a member that is evicted or broken."""
        if self._running is None or member not in self._members:
            return
        self._running.drop(member.lane)
        self._members = [m for m in self._members if m is not member]
        if not self._members:
            self._running = None


def _subject(member: Member) -> Subject:
    return Subject(member.lane, member.config, member.vector_steps)


def _conclude(evaluation: Evaluation, member: Member) -> list[Event]:
    returns, lengths = evaluation.result(_subject(member))
    member.evaluated_at = member.vector_steps
    member.evaluations.append((member.env_steps, list(returns)))
    member.phase = Phase.FINISHED if member.complete else Phase.TRAINING
    events: list[Event] = [Evaluated(member.id, member.env_steps, returns, lengths)]
    if member.phase is Phase.FINISHED:
        events.append(Finished(member.id, member.env_steps))
    return events
