"""Seating: how a worker's program is filled with trials, and keeps its place for one that does not fit in yet."""

import logging

from omad_core.errors import OmadError
from search.errors import LeaseLost, SearchError, StorageUnavailable
from search.records.keeping import goes_back
from search.slots.lease import Lease
from search.worker.claiming import Claimer
from search.worker.course import Course
from search.worker.desk import Desk
from search.worker.handing import HandingIn
from search.worker.program import Program
from tracking.errors import TrackingError, TrackingUnavailable

log = logging.getLogger(__name__)


class Seating:
    """Claims trials for one worker and lets them train."""

    def __init__(self, desk: Desk, program: Program, ending: HandingIn) -> None:
        self._desk, self._program, self._ending = desk, program, ending
        self._claimer = Claimer(desk)
        self._held_back: Course | None = None

    def fill(self) -> None:
        """Claim and begin trials while there is room for them."""
        courses = self._program.courses
        while self._held_back is None and len(courses) < self._desk.place.pack and not self._desk.stopping:
            try:
                lease = self._claimer.claim() if courses else self._desk.patiently(self._claimer.claim)
            except StorageUnavailable as error:
                if not courses:
                    raise
                log.warning("%s; the trials at hand go on", error)
                break
            if lease is None:
                break
            self._begin(lease)
        if self._held_back is not None and not courses:
            course, self._held_back = self._held_back, None
            self._admit(course)

    def keep(self) -> None:
        """Keep the lease of a trial that waits for the program to be empty."""
        if self._held_back is not None:
            self._desk.rooms.ledger.tell(self._held_back.hold)

    def leave(self) -> None:
        """Give such a trial back."""
        if self._held_back is not None:
            self._desk.give_back(self._held_back.hold.lease)

    def _begin(self, lease: Lease) -> None:
        course = self._claimer.prepare(lease)
        if course is None:
            return
        if self._program.takes(course):
            self._admit(course)
        else:
            self._held_back = course

    def _admit(self, course: Course) -> None:
        """Let a course train; a trial that cannot even begin costs one of its attempts."""
        try:
            self._resume(course)
        except LeaseLost as error:
            log.info("%s", error)
            self._program.drop(course)
        except TrackingUnavailable as error:
            self._claimer.put_off(course, error)
            self._program.drop(course)
        except SearchError:
            raise
        except Exception as error:  # the worker's border: users' environments may raise anything
            log.exception("trial %d cannot begin", course.trial.number)
            told = isinstance(error, (OmadError, TrackingError))
            self._ending.fail(course, str(error) if told else f"{type(error).__name__}: {error}")

    def _resume(self, course: Course) -> None:
        """Begin a course from its newest checkpoint, if it has one."""
        lease = course.hold.lease
        loaded = self._desk.load(course.hold)
        if goes_back(lease, loaded):
            self._claimer.begin_again(course, loaded.ref.step if loaded else 0)
        self._program.begin(course, loaded)
        course.recording.open()
        log.info("trial %d (slot %d) from step %d", course.trial.number, lease.number, course.steps)
