"""TrialCompletion: how a trial leaves a worker: with a result, with a failure, or released for the next worker."""

import logging
from collections.abc import Sequence
from pathlib import Path

from search.errors import LeaseLost, SearchError, UnfitMachine
from search.recording.publication import Result
from search.slots import outcomes
from search.slots.lease import Lease, Outcome
from search.worker import faults
from search.worker.context import DRAIN_SECONDS, IDLE_SECONDS, WorkerContext
from search.worker.publisher import Publisher
from search.worker.trial_pack import TrialPack
from search.worker.trial_runner import TrialRunner

log = logging.getLogger(__name__)


class TrialCompletion:
    """Ends the trials of one worker."""

    def __init__(self, context: WorkerContext, pack: TrialPack, publisher: Publisher) -> None:
        self._context, self._pack, self._publisher = context, pack, publisher

    def finish(self, runner: TrialRunner, outcome: Outcome, reason: str | None) -> None:
        """Write the last checkpoint and the model, then commit the result."""
        if outcome == "complete" and runner.score() is None:
            outcome, reason = "diverged", "its score is not finite"
        runner.checkpoint()
        folder = self._context.folder(runner.held.lease) / "model"
        self._commit(runner, outcome, reason, runner.save_model(folder) if outcome == "complete" else None)

    def _commit(
        self, runner: TrialRunner, outcome: Outcome, reason: str | None, model_folder: Path | None
    ) -> None:
        """Commit a result: slot, then Optuna; the sender does the rest."""
        context, value = self._context, runner.score()
        runner.show_progress()
        self.settle()
        study, seconds = context.optuna(runner.held.lease.number), context.spec.lease_seconds
        try:
            lease = context.patiently(
                lambda: outcomes.finish(
                    context.store, study, runner.held.lease, outcome, value, reason, seconds
                )
            )
        except LeaseLost as error:
            log.warning("%s; its result of trial %d is refused", error, runner.trial.number)
            self._pack.drop(runner)
            return
        context.watchdog.trial_ended()
        log.info("trial %d is %s: %s", runner.trial.number, outcome, value)
        self._publish(runner, lease, model_folder)

    def fail(self, runners: Sequence[TrialRunner], error: BaseException) -> None:
        """Do with trials that met an error what its kind demands. Raises UnfitMachine where this worker has to end."""
        kind = faults.kind_of(error, self._context.location.device)
        consequence, reason = faults.FAULTS[kind], faults.reason_of(error)
        if consequence.trial == "given back":
            self.give_back(runners)
        elif consequence.trial == "diverged":
            for runner in runners:
                self._commit(runner, "diverged", reason, None)
        else:
            for runner in runners:
                self._fail(runner, reason)
        if not consequence.worker_ends:
            return
        if not consequence.starts_again:
            self._context.watchdog.unfit()
        raise UnfitMachine(
            f"this worker cannot train on ({kind}): {reason}; its trials are left to others"
        ) from error

    def _fail(self, runner: TrialRunner, reason: str) -> None:
        """Count an attempt: the trial is tried again, here or elsewhere, until `max_attempts` are used."""
        self.settle()
        context = self._context
        study = context.optuna(runner.held.lease.number)
        most, seconds = context.spec.max_attempts, context.spec.lease_seconds
        try:
            lease = context.patiently(
                lambda: outcomes.fail(context.store, study, runner.held.lease, reason, most, seconds)
            )
        except LeaseLost as error:
            log.warning("%s", error)
            lease = None
        if lease is None:
            self._pack.drop(runner)
            return
        context.watchdog.trial_ended()
        self._publish(runner, lease, None)

    def release(self, runners: Sequence[TrialRunner]) -> None:
        """Write checkpoints, send them, release the slots: the next worker resumes at once."""
        for runner in runners:
            try:
                runner.checkpoint()
            except SearchError:
                raise
            except Exception as error:  # noqa: BLE001 - the worker's border: environments and a dead device may raise anything
                reason = faults.reason_of(error)
                log.warning("trial %d goes back to its last checkpoint: %s", runner.trial.number, reason)
        self.settle()
        self._context.send(DRAIN_SECONDS if self._may_be_sent(runners) else IDLE_SECONDS, self._pack.keep)
        self.settle()
        self.give_back(runners)

    def give_back(self, runners: Sequence[TrialRunner]) -> None:
        """Release slots from their last checkpoints, with no attempt counted."""
        for runner in list(runners):
            self._context.give_back(runner.held.lease)
            self._pack.drop(runner)

    def _may_be_sent(self, runners: Sequence[TrialRunner]) -> bool:
        """Whether to wait for the tracking server: it answered for one of them, or may answer now."""
        opened = any(runner.held.lease.mlflow_run_id for runner in runners)
        return opened or not self._context.sender.unavailable_seconds()

    def settle(self) -> None:
        """Wait until the storage has all queued writes; the leases are renewed meanwhile."""
        lease_keeper = self._context.lease_keeper
        while not lease_keeper.drain(self._context.left(IDLE_SECONDS)):
            lease_keeper.raise_failure()
            if self._context.late:
                log.warning("the storage does not answer; what it lacks is trained again by the next worker")
                return
            self._pack.keep()

    def _publish(self, runner: TrialRunner, lease: Lease, model_folder: Path | None) -> None:
        """Free the lanes of an ended trial and have it published."""
        trial, spec = runner.trial, self._context.spec
        result = Result(spec, trial.number, trial.params, model_folder, runner.steps, runner.spool)
        self._pack.evict(runner)
        runner.held.update(
            outcome=lease.outcome, value=lease.value, reason=lease.reason, attempt=lease.attempt
        )
        self._publisher.submit(runner.held, runner.recording.run, result)
