"""Evaluator: who is due, the evaluation that is running, and what follows from its returns."""

import time
from collections.abc import Sequence

from omad_core.evaluation import Evaluation, Subject
from omad_core.events import Evaluated, Event, Finished
from omad_core.member import Member, Phase
from omad_core.program import Program
from omad_core.streams import Stream
from omad_core.timing import Clock


class Evaluator:
    """At most one evaluation at a time; nobody trains meanwhile."""

    def __init__(self, program: Program, clock: Clock) -> None:
        self._program, self._clock = program, clock
        self._running: Evaluation | None = None
        self._members: list[Member] = []

    @property
    def running(self) -> bool:
        """Whether an evaluation is under way."""
        return self._running is not None

    def begin(self, training: Sequence[Member]) -> list[Event]:
        """Start evaluating whoever is due; weights that are not finite are no policy to evaluate."""
        due = [m for m in training if m.due_for_evaluation()]
        if not due:
            return []
        program, finite = self._program, self._program.learner.weights.finite()
        lost: list[Event] = [
            program.lose(m, "its weights are not finite") for m in due if not finite[m.place]
        ]
        due = [m for m in due if finite[m.place]]
        for member in due:
            member.phase = Phase.EVALUATING
        if due:
            noise, subjects = program.noise[Stream.EVALUATE], [_subject(m) for m in due]
            self._running = Evaluation(program.evaluation_env, program.learner, noise, subjects)
            self._members = due
        return lost + self._give_up()

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
        broken = self._give_up()
        if not running.done:
            return broken
        self._running = None
        return broken + [event for member in self._members for event in _conclude(running, member)]

    def _give_up(self) -> list[Event]:
        """Of members whose environments raised, that they cannot go on; the others are evaluated."""
        errors = self._running.errors if self._running is not None else {}
        broken = [m for m in self._members if m.place in errors]
        for member in broken:
            self.drop(member)
        return [self._program.give_up(m, errors[m.place]) for m in broken]

    def drop(self, member: Member) -> None:
        """Stop the episodes of a member that nobody waits for any more."""
        if self._running is None or member not in self._members:
            return
        self._running.drop(member.place)
        self._members = [m for m in self._members if m is not member]
        if not self._members:
            self._running = None


def _subject(member: Member) -> Subject:
    return Subject(member.place, member.config, member.vector_steps)


def _conclude(evaluation: Evaluation, member: Member) -> list[Event]:
    returns, lengths = evaluation.result(_subject(member))
    member.evaluated_at = member.vector_steps
    member.evaluations.append((member.env_steps, list(returns)))
    member.phase = Phase.FINISHED if member.complete else Phase.TRAINING
    events: list[Event] = [Evaluated(member.id, member.env_steps, returns, lengths)]
    if member.phase is Phase.FINISHED:
        events.append(Finished(member.id, member.env_steps))
    return events
