"""Claiming for a worker: from a free slot to a course that can train."""

import logging
import time
from functools import partial

import optuna
from optuna.trial import Trial

from omad_core.config import TrainConfig
from omad_core.errors import OmadError
from search.errors import LeaseLost, TrialEnded
from search.records.home import lease_folder
from search.records.keeping import Keeper
from search.records.recording import Recording
from search.slots import endings
from search.slots.alive import identity
from search.slots.binding import bind
from search.slots.claim import claim
from search.slots.keys import COURSE
from search.slots.lease import Lease
from search.worker.course import Course
from search.worker.desk import Desk, course_name
from tracking.errors import TrackingUnavailable
from tracking.spool import Spool

log = logging.getLogger(__name__)

PUT_OFF_SECONDS = 10.0
"""Pause before a trial is tried again whose checkpoint could not be fetched."""


class Claimer:
    """Claims slots for one worker."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._later: dict[int, float] = {}

    def claim(self) -> Lease | None:
        """A slot to train, once; None where there is none now. Raises StorageUnavailable."""
        desk, now = self._desk, time.monotonic()
        self._later = {number: then for number, then in self._later.items() if then > now}
        return claim(desk.store, desk.handle.study_id, desk.claimant, list(self._later))

    def prepare(self, lease: Lease) -> Course | None:
        """The course of a claimed slot; None where its trial has ended or cannot be trained."""
        study = self._desk.optuna(lease.number)
        try:
            lease, trial, configs = self._desk.patiently(partial(self._bind, study, lease))
            if isinstance(configs, Exception):
                self._refuse(study, lease, trial, configs)
                return None
        except (LeaseLost, TrialEnded) as error:
            log.info("%s", error)
            return None
        return self._course(lease, trial, configs)

    def begin_again(self, course: Course, step: int) -> None:
        """The trial goes back behind what its run shows: it gets a new run, so that no point is there twice."""
        number, token = course.trial.number, course.hold.lease.token
        log.warning("trial %d goes back to step %d and gets a new run in MLflow", number, step)

        def write() -> None:
            with self._desk.store.guard():
                course.trial.set_user_attr(COURSE, token)
            course.recording.begin_again(course_name(number, token))

        self._desk.patiently(write)

    def put_off(self, course: Course, error: TrackingUnavailable) -> None:
        """Its checkpoint lies on a server that is away: leave it to others, and to later."""
        lease = course.hold.lease
        log.warning("trial %d waits for its checkpoint: %s", course.trial.number, error)
        self._later[lease.number] = time.monotonic() + PUT_OFF_SECONDS
        self._desk.give_back(lease)

    def _bind(
        self, study: optuna.Study, lease: Lease
    ) -> tuple[Lease, Trial, tuple[TrainConfig, ...] | Exception]:
        """The slot's trial and its sampled values, or what is wrong with those that a person enqueued.

        Again from the start where a write got lost on the way.
        """
        bound, trial = bind(self._desk.store, study, lease)
        with self._desk.store.guard():
            try:
                return bound, trial, self._desk.spec.configs(trial)
            except (OmadError, ValueError, TypeError) as error:
                return bound, trial, error

    def _refuse(self, study: optuna.Study, lease: Lease, trial: Trial, error: Exception) -> None:
        """End a trial whose parameters cannot be trained: trying it again would change nothing."""
        reason = f"its parameters cannot be trained: {error}"
        log.warning("trial %d ends: %s", trial.number, reason)
        store = self._desk.store
        self._desk.patiently(lambda: endings.fail(store, study, lease, reason, max_attempts=1, seconds=0.0))

    def _course(self, lease: Lease, trial: Trial, configs: tuple[TrainConfig, ...]) -> Course:
        desk = self._desk
        step = max((ref.step for ref in lease.checkpoints), default=0)
        hold = desk.rooms.ledger.hold(lease, identity() | {"token": lease.token, "step": step})
        folder = desk.folder(lease)
        keeper = Keeper(folder, lease.token, desk.place.home)
        spool = Spool(folder / lease_folder(lease.token))
        info = desk.run_info(lease, trial, configs[0])
        recording = Recording(desk.rooms, hold, desk.parent, info, spool, keeper)
        return Course(desk.rooms, desk.spec, hold, trial, configs, spool, keeper, recording)
