"""The worker: claims slots, trains their trials in one population, and hands in the results."""

import logging
import time
from collections.abc import Sequence

from omad_core.errors import OmadError
from omad_core.events import Busy, Event
from search.slots import budget
from search.slots.claim import wanted
from search.slots.lease import AWAY
from search.slots.ledger import check_alive
from search.slots.study import StudyHandle
from search.storage.patience import PATIENCE_SECONDS
from search.storage.store import Store
from search.worker.course import Course
from search.worker.desk import GRACE_SECONDS, IDLE_SECONDS, Desk, Place
from search.worker.handing import HandingIn
from search.worker.program import Program
from search.worker.publications import Publications
from search.worker.pulse import Pulse
from search.worker.seating import Seating
from search.worker.substitute import Substitute
from tracking.errors import TrackingError
from tracking.tracker import Tracker

log = logging.getLogger(__name__)


class Worker:
    """Works for one study until every slot has its result, or until it is told to stop."""

    def __init__(
        self,
        store: Store,
        handle: StudyHandle,
        tracker: Tracker,
        place: Place,
        patience_seconds: float = PATIENCE_SECONDS,
        pulse: Pulse | None = None,
    ) -> None:
        self._desk = Desk(store, handle, tracker, place, patience_seconds)
        self._program = Program(self._desk, pulse or Pulse())
        self._publications = Publications(self._desk)
        self._handing_in = HandingIn(self._desk, self._program, self._publications)
        self._seating = Seating(self._desk, self._program, self._handing_in)
        self._substitute = Substitute(self._desk, self._publications)
        self._away = False

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Write checkpoints, release what is held and return from `run`; safe in a signal handler.

        What cannot be sent within the grace is left on this machine.
        """
        self._desk.stop(grace_seconds)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._desk.stopping

    def run(self) -> None:
        """Work. Raises what makes going on impossible: StorageUnavailable, TrackingError of a full disk."""
        try:
            self._substitute.repair()
            self._substitute.sync()
            while not self.stopping and self._work():
                check_alive(self._desk.rooms.ledger)
            self._leave()
            if not self._away:  # what this storage says of a study that has left it is no longer so
                self._catch_up()
        finally:
            self._close()

    def catch_up(self) -> None:
        """Train nothing: do what workers that are gone left undone, and send what they left here.

        Also what killed so many of them that others leave it alone.
        """
        try:
            self._catch_up(by_hand=True)
        finally:
            self._close()

    def _catch_up(self, by_hand: bool = False) -> None:
        self._substitute.repair()
        self._substitute.sync()
        self._substitute.publish_left(by_hand)

    def _work(self) -> bool:
        """One round; False when there is nothing left to do, now or later."""
        self._seating.fill()
        self._seating.keep()
        self._publications.keep()
        if not self._program.courses:
            return self._idle()
        self._train()
        return True

    def _idle(self) -> bool:
        """Nothing to train now; somebody else's trial may yet become free."""
        store, handle = self._desk.store, self._desk.handle
        asked = self._desk.patiently(lambda: wanted(store, handle.study_id, handle.tracking_run))
        if asked in AWAY:
            log.info("the study is %s: this worker leaves", asked)
            self._away = True
            return False
        self._substitute.repair()
        left = self._desk.patiently(lambda: budget.counts(store, handle.study_id))
        if left.ended or asked == "stopping":
            log.info("nothing is left to train" if left.ended else f"the study is {asked}")
            return False
        self._pause()
        return True

    def _pause(self) -> None:
        """Wait a little; in short pieces, because a signal does not end a sleep."""
        end = time.monotonic() + IDLE_SECONDS
        while not self.stopping and time.monotonic() < end:
            time.sleep(0.05)

    def _train(self) -> None:
        try:
            events = self._program.advance()
        except Exception as error:  # the worker's border: a trial that raises is tried again
            log.exception("training failed")
            self._handing_in.fail_all(f"{type(error).__name__}: {error}")
            return
        for course in list(self._program.courses):
            try:
                self._attend(course, events)
            except (OmadError, TrackingError) as error:
                log.exception("trial %d cannot go on", course.trial.number)
                self._handing_in.fail(course, str(error))

    def _attend(self, course: Course, events: Sequence[Event]) -> None:
        """Pass a course its events, then do what it needs."""
        members = set(course.members)
        for event in events:
            if isinstance(event, Busy) or event.member in members:
                course.hear(event)
        self._look_after(course)

    def _look_after(self, course: Course) -> None:
        """Whatever a course needs between two advances."""
        hold, ending = course.hold, self._handing_in
        if hold.lost is not None:
            log.warning("%s; it drops trial %d", hold.lost, course.trial.number)
            self._program.drop(course)
        elif course.diverged is not None:
            ending.finish(course, "diverged", course.diverged)
        elif course.finished:
            ending.finish(course, "complete", None)
        elif hold.prune:
            ending.finish(course, "pruned", f"pruned at step {course.steps:,}")
        elif hold.wanted != "running":
            log.info("the study is %s", hold.wanted)
            ending.release([course])
        elif course.due_for_checkpoint(self._program.population):
            course.checkpoint(self._program.population)

    def _leave(self) -> None:
        """Release what is held; finished trials were handed in already."""
        held = [course for course in self._program.courses if course.hold.lost is None]
        if held:
            self._handing_in.release(held)
        self._seating.leave()

    def _close(self) -> None:
        rooms = self._desk.rooms
        rooms.sender.close(IDLE_SECONDS)
        rooms.ledger.close()
        rooms.watch.close()
        self._program.close()
