"""ComparisonWorker: one process that works for all studies of a comparison, wherever a trial is free."""

import logging
import os
import time

from search.comparison.members import members
from search.comparison.work import Vacancy, neediest, vacancy
from search.confirmation.creation import ensure
from search.errors import SpecConflict
from search.launch.watchdog import Watchdog
from search.slots.claim import read_desired_state
from search.slots.lease import MOVE_STATES
from search.slots.studies import StudyHandle
from search.storage.patience import PATIENCE_SECONDS, patiently
from search.storage.store import Store
from search.worker.context import GRACE_SECONDS, IDLE_SECONDS, WorkerLocation
from search.worker.pair_worker import resume_recording
from search.worker.worker import Worker
from tracking.tracker import Tracker

log = logging.getLogger(__name__)


class ComparisonWorker:
    """Works for the study of a comparison that has the fewest workers, then for the next one, until all have ended.

    It waits only where no study has a trial that is free.
    """

    def __init__(
        self,
        store: Store,
        comparison: str,
        tracker: Tracker,
        location: WorkerLocation,
        patience_seconds: float = PATIENCE_SECONDS,
        watchdog: Watchdog | None = None,
    ) -> None:
        self._store, self._comparison, self._tracker, self._location = store, comparison, tracker, location
        self._patience_seconds, self._watchdog = patience_seconds, watchdog
        self._worker: Worker | None = None
        self._stop_by: float | None = None
        self._attended: set[int] = set()
        """Studies that this process has seen to: what is left over of them is being sent by others, or cannot be."""

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """As `Worker.stop`: it holds for whatever this process is at, and begins; safe in a signal handler."""
        self._stop_by = time.monotonic() + grace_seconds
        if self._worker is not None:
            self._worker.stop(grace_seconds)

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop_by is not None

    def run(self) -> None:
        """Work. Raises what `Worker.run` raises."""
        while (study := self._next()) is not None:
            log.info("study %s", study.name)
            self._attended.add(study.study_id)
            self._worker = Worker(
                self._store,
                resume_recording(self._store, study, self._tracker, self._patience_seconds),
                self._tracker,
                self._location,
                self._patience_seconds,
                self._watchdog,
                waits=False,
            )
            if self._stop_by is not None:  # told while it was made
                self._worker.stop(max(0.0, self._stop_by - time.monotonic()))
            self._worker.run()
            self._worker = None
            self._pause()  # where a free trial cannot be claimed, its study is free again at once

    def _next(self) -> StudyHandle | None:
        """The study to take up; waited for. None where nothing is left, or it is to leave."""
        while not self.stopping:
            vacancies = patiently(self._look, self._patience_seconds)
            if study := neediest(vacancies, os.getpid()):
                return study
            left_over = [candidate.study for candidate in vacancies if candidate.left_over]
            if study := next(
                (candidate for candidate in left_over if candidate.study_id not in self._attended), None
            ):
                return study
            if all(candidate.ended for candidate in vacancies):
                return None
            self._pause()
        return None

    def _look(self) -> list[Vacancy]:
        """Searches and confirmations that are to be worked on; of paused ones no trial is free."""
        vacancies = []
        for search in members(self._store, self._comparison):
            asked = read_desired_state(self._store, search.study_id, search.tracking_run)
            if asked in (*MOVE_STATES, "stopping"):
                continue
            for each in (search, *self._confirmation(search)):
                known = vacancy(self._store, each)
                vacancies.append(known if asked == "running" else Vacancy(each, 0, 0, False, known.ended))
        return vacancies

    def _confirmation(self, search: StudyHandle) -> list[StudyHandle]:
        """That of a search, made where it is due; none of one that is moved at this moment."""
        try:
            handle = ensure(self._store, search)
        except SpecConflict:
            if read_desired_state(self._store, search.study_id, search.tracking_run) not in MOVE_STATES:
                raise
            return []
        return [] if handle is None else [handle]

    def _pause(self) -> None:
        """Wait a little; in short pieces, because a signal does not end a sleep."""
        end = time.monotonic() + IDLE_SECONDS
        while not self.stopping and time.monotonic() < end:
            time.sleep(0.05)
