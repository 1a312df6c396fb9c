"""PairWorker: one process that works for a search, and then for the confirmation of what it found."""

import logging
import time

from search.confirmation.creation import ensure
from search.confirmation.pair import parent_of
from search.errors import SpecConflict
from search.launch.watchdog import Watchdog
from search.recording.tracking_store import ensure_recorded
from search.slots import budget
from search.slots.claim import read_desired_state
from search.slots.lease import MOVE_STATES
from search.slots.studies import StudyHandle, open_study
from search.storage.patience import PATIENCE_SECONDS, patiently
from search.storage.store import Store
from search.worker.context import GRACE_SECONDS, WorkerLocation
from search.worker.worker import Worker
from tracking.errors import TrackingUnavailable
from tracking.tracker import Tracker

log = logging.getLogger(__name__)


class PairWorker:
    """Works for a search until it has ended, then for its confirmation, then for what was added to either meanwhile.

    A worker of a confirmation alone works for that one.
    """

    def __init__(
        self,
        store: Store,
        handle: StudyHandle,
        tracker: Tracker,
        location: WorkerLocation,
        patience_seconds: float = PATIENCE_SECONDS,
        watchdog: Watchdog | None = None,
        confirm: bool = True,
    ) -> None:
        self._store, self._handle, self._tracker, self._location = store, handle, tracker, location
        self._patience_seconds, self._watchdog = patience_seconds, watchdog
        self._confirm = confirm and parent_of(handle) is None
        self._worker = self._worker_for(handle)
        self._visited = {handle.study_id}
        """Studies that this process has worked for, and so done what dead workers left undone in them."""
        self._stop_by: float | None = None

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """As `Worker.stop`: it holds for whatever this process is at, and begins; safe in a signal handler."""
        self._stop_by = time.monotonic() + grace_seconds
        self._worker.stop(grace_seconds)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop_by is not None

    def run(self) -> None:
        """Work. Raises what `Worker.run` raises."""
        self._worker.run()
        while (study := self._next()) is not None:
            log.info("study %s", study.name)
            self._visited.add(study.study_id)
            self._worker = self._worker_for(study)
            if self._stop_by is not None:  # told while it was made
                self._worker.stop(max(0.0, self._stop_by - time.monotonic()))
            self._worker.run()

    def _next(self) -> StudyHandle | None:
        """The study of the pair that has work left: the search first; None where there is none, or it is to leave.

        A confirmation that has ended is visited once: its last worker may have died before it published.
        """
        if not self._confirm or self.stopping or not self._wanted():
            return None
        search = patiently(lambda: open_study(self._store, self._handle.name), self._patience_seconds)
        if self._has_work(search):
            return search
        try:
            confirmation = patiently(lambda: ensure(self._store, search), self._patience_seconds)
        except SpecConflict:
            if self._wanted():
                raise
            return None  # it was moved at this moment
        if confirmation is None:
            return None
        if self._has_work(confirmation):
            return resume_recording(self._store, confirmation, self._tracker, self._patience_seconds)
        return confirmation if confirmation.study_id not in self._visited else None

    def _wanted(self) -> bool:
        handle = self._handle
        state = patiently(
            lambda: read_desired_state(self._store, handle.study_id, handle.tracking_run),
            self._patience_seconds,
        )
        return state not in (*MOVE_STATES, "stopping")

    def _has_work(self, handle: StudyHandle) -> bool:
        counts = patiently(lambda: budget.counts(self._store, handle.study_id), self._patience_seconds)
        return not counts.ended

    def _worker_for(self, handle: StudyHandle) -> Worker:
        return Worker(
            self._store, handle, self._tracker, self._location, self._patience_seconds, self._watchdog
        )


def resume_recording(
    store: Store, study: StudyHandle, tracker: Tracker, patience_seconds: float
) -> StudyHandle:
    """The study with its own run, shown as running; one that cannot be had now is made later."""
    try:
        recorded = patiently(lambda: ensure_recorded(store, study, tracker), patience_seconds)
        if recorded.tracking_run is not None:
            tracker.resume_run(recorded.tracking_run)
    except TrackingUnavailable as error:
        log.warning("%s; work begins without it", error)
        return study
    return recorded
