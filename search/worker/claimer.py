"""Claimer: from a free slot to a trial that can train."""

import logging
import time
from functools import partial

import optuna
from optuna.trial import Trial

from omad_core.config import TrainConfig
from omad_core.errors import OmadError
from search.checkpoints.store import CheckpointStore
from search.checkpoints.workdir import lease_folder
from search.errors import LeaseLost, TrialEnded
from search.recording.checkpoint_transfer import CheckpointTransfer
from search.recording.trial_run import TrialRun
from search.slots import outcomes
from search.slots.claim import claim
from search.slots.keys import GENERATION
from search.slots.lease import Lease
from search.slots.liveness import identity
from search.slots.trial_binding import bind
from search.worker.context import WorkerContext, generation_name
from search.worker.trial_runner import TrialRunner
from tracking.errors import TrackingUnavailable
from tracking.spool.spool import Spool

log = logging.getLogger(__name__)

PUT_OFF_SECONDS = 10.0
"""Pause before a trial is tried again whose checkpoint could not be fetched."""


class Claimer:
    """Claims slots for one worker."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._later: dict[int, float] = {}

    def claim(self, untried: bool = False) -> Lease | None:
        """A slot to train; None where there is none now. Raises StorageUnavailable.

        `untried`: none that a worker died or failed with since its last progress.
        """
        context, now = self._context, time.monotonic()
        self._later = {number: then for number, then in self._later.items() if then > now}
        study_id, skip = context.handle.study_id, list(self._later)
        return claim(context.store, study_id, context.claimant, skip, untried, self._note_failed)

    def _note_failed(self, number: int) -> None:
        log.warning("slot %d is given up: too many workers ended with it", number)
        self._context.watchdog.trial_ended()

    def prepare(self, lease: Lease) -> TrialRunner | None:
        """The runner of a claimed slot's trial; None where the trial has ended or cannot be trained."""
        study = self._context.optuna(lease.number)
        try:
            lease, trial, configs = self._context.patiently(partial(self._bind, study, lease))
            if isinstance(configs, Exception):
                self._refuse(study, lease, trial, configs)
                return None
        except (LeaseLost, TrialEnded) as error:
            log.info("%s", error)
            return None
        return self._runner(lease, trial, configs)

    def begin_again(self, runner: TrialRunner, step: int) -> None:
        """Give a new run to a trial that resumes before what its run shows, so that no point is there twice."""
        number, token = runner.trial.number, runner.held.lease.token
        log.warning("trial %d goes back to step %d and gets a new run in MLflow", number, step)

        def write() -> None:
            with self._context.store.guard():
                runner.trial.set_user_attr(GENERATION, token)
            runner.recording.begin_again(generation_name(number, token))

        self._context.patiently(write)

    def put_off(self, runner: TrialRunner, error: TrackingUnavailable) -> None:
        """Release a trial whose checkpoint cannot be fetched now; this worker skips it for a while."""
        lease = runner.held.lease
        log.warning("trial %d waits for its checkpoint: %s", runner.trial.number, error)
        self._later[lease.number] = time.monotonic() + PUT_OFF_SECONDS
        self._context.give_back(lease)

    def _bind(
        self, study: optuna.Study, lease: Lease
    ) -> tuple[Lease, Trial, tuple[TrainConfig, ...] | Exception]:
        """The slot's trial and its sampled values, or the error of values that a person enqueued. Can be repeated."""
        bound, trial = bind(self._context.store, study, lease)
        with self._context.store.guard():
            try:
                return bound, trial, self._context.spec.configs(trial)
            except (OmadError, ValueError, TypeError) as error:
                return bound, trial, error

    def _refuse(self, study: optuna.Study, lease: Lease, trial: Trial, error: Exception) -> None:
        """Fail a trial whose parameters cannot be trained: another attempt would change nothing."""
        reason = f"its parameters cannot be trained: {error}"
        log.warning("trial %d ends: %s", trial.number, reason)
        store = self._context.store
        self._context.patiently(
            lambda: outcomes.fail(store, study, lease, reason, max_attempts=1, seconds=0.0)
        )

    def _runner(self, lease: Lease, trial: Trial, configs: tuple[TrainConfig, ...]) -> TrialRunner:
        context = self._context
        step = max((ref.step for ref in lease.checkpoints), default=0)
        held_lease = context.lease_keeper.hold(lease, identity() | {"token": lease.token, "step": step})
        folder = context.folder(lease)
        checkpoints = CheckpointStore(folder, lease.token, context.location.workdir)
        spool = Spool(folder / lease_folder(lease.token))
        info = context.run_info(lease, trial, configs[0])
        recording = TrialRun(context, held_lease, context.parent, info, spool)
        transfer = CheckpointTransfer(context, held_lease, checkpoints, recording)
        return TrialRunner(context, held_lease, trial, configs, spool, transfer, recording)
