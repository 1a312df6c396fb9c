"""Handing in: how a trial leaves a worker: with its result, with a failure, or for the next worker to go on."""

import logging
from collections.abc import Sequence

from omad_core.errors import OmadError
from search.errors import LeaseLost
from search.records.publishing import Result
from search.slots import endings
from search.slots.lease import Lease, Outcome
from search.slots.ledger import check_alive
from search.worker.course import Course
from search.worker.desk import DRAIN_SECONDS, IDLE_SECONDS, Desk
from search.worker.program import Program
from search.worker.publications import Publications
from tracking.errors import TrackingError

log = logging.getLogger(__name__)


class HandingIn:
    """Ends the courses of one worker: with a result, with a failure, or for another worker to go on."""

    def __init__(self, desk: Desk, program: Program, publications: Publications) -> None:
        self._desk, self._program, self._publications = desk, program, publications

    def finish(self, course: Course, outcome: Outcome, reason: str | None) -> None:
        """Hand in a result: last checkpoint, slot, Optuna; then the rest leaves with the sender."""
        desk, population = self._desk, self._program.population
        value = course.score()
        course.checkpoint(population)
        model = desk.folder(course.hold.lease) / "model"
        folder = course.save_model(population, model) if outcome == "complete" else None
        course.show_progress()
        self.settle()
        study, seconds = desk.optuna(course.hold.lease.number), desk.spec.lease_seconds
        try:
            lease = desk.patiently(
                lambda: endings.finish(desk.store, study, course.hold.lease, outcome, value, reason, seconds)
            )
        except LeaseLost as error:
            log.warning("%s; its result of trial %d is refused", error, course.trial.number)
            self._program.drop(course)
            return
        log.info("trial %d is %s: %s", course.trial.number, outcome, value)
        result = Result(
            desk.spec, course.trial.number, course.trial.params, folder, course.steps, course.spool
        )
        self._publish(course, lease, result)

    def fail(self, course: Course, reason: str) -> None:
        """A trial raised: it is tried again, here or elsewhere, until its attempts are used up."""
        self.settle()
        desk = self._desk
        study = desk.optuna(course.hold.lease.number)
        most, seconds = desk.spec.max_attempts, desk.spec.lease_seconds
        try:
            lease = desk.patiently(
                lambda: endings.fail(desk.store, study, course.hold.lease, reason, most, seconds)
            )
        except LeaseLost as error:
            log.warning("%s", error)
            lease = None
        if lease is None:
            self._program.drop(course)
            return
        result = Result(desk.spec, course.trial.number, course.trial.params, None, course.steps, course.spool)
        self._publish(course, lease, result)

    def fail_all(self, reason: str) -> None:
        """The program raised: every trial in it is tried again, in a new one."""
        for course in list(self._program.courses):
            self.fail(course, reason)
        self._program.close()

    def release(self, courses: Sequence[Course]) -> None:
        """Checkpoint, send, give the slots back: the next worker goes on at once."""
        for course in courses:
            try:
                course.checkpoint(self._program.population)
            except (OmadError, TrackingError) as error:
                log.warning("trial %d goes back to its last checkpoint: %s", course.trial.number, error)
        self.settle()
        self._desk.send(DRAIN_SECONDS if self._may_be_sent(courses) else IDLE_SECONDS, self._program.keep)
        self.settle()
        for course in courses:
            self._desk.give_back(course.hold.lease)
            self._program.drop(course)

    def _may_be_sent(self, courses: Sequence[Course]) -> bool:
        """Whether it is worth waiting for the tracking server: it was there for one of them, or may be there now."""
        opened = any(course.hold.lease.mlflow_run_id for course in courses)
        return opened or not self._desk.rooms.sender.unavailable_seconds()

    def settle(self) -> None:
        """Wait until the storage has everything that was submitted, while the leases are kept."""
        ledger = self._desk.rooms.ledger
        while not ledger.drain(self._desk.left(IDLE_SECONDS)):
            check_alive(ledger)
            if self._desk.late:
                log.warning("the storage does not answer; what it lacks is trained again by the next worker")
                return
            self._program.keep()

    def _publish(self, course: Course, lease: Lease, result: Result) -> None:
        self._program.evict(course)
        course.hold.change(
            outcome=lease.outcome, value=lease.value, reason=lease.reason, attempt=lease.attempt
        )
        self._publications.submit(course.hold, course.recording.run_id, result)
