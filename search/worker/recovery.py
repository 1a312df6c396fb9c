"""Recovery: does what dead workers left undone, from what they recorded."""

import logging
from dataclasses import replace
from functools import partial

from optuna.trial import FrozenTrial

from omad_core.config import TrainConfig
from omad_core.envs import make_spec
from omad_core.errors import OmadError
from omad_core.policy import Policy
from search.checkpoints.store import LoadedCheckpoint
from search.checkpoints.workdir import lease_folder, remove
from search.errors import LeaseLost
from search.recording.publication import Result
from search.recording.slot_run import SlotRun
from search.recording.sync import sync_runs
from search.slots import budget, lease_writes, outcomes
from search.slots.claim import claim_unpublished
from search.slots.lease import Lease
from search.slots.lease_keeper import HeldLease
from search.slots.liveness import expire_gone
from search.slots.studies import optuna_study
from search.slots.trial_binding import read_trial
from search.worker.context import DRAIN_SECONDS, WorkerContext
from search.worker.publisher import Publisher
from search.worker.trial_runner import best_seed, save_model
from tracking.errors import TrackingError
from tracking.spool.spool import Spool

log = logging.getLogger(__name__)

ANY_ATTEMPT = 2**31 - 1
"""More attempts than any database counts."""


class Recovery:
    """Repairs, sends and publishes in the place of dead workers."""

    def __init__(self, context: WorkerContext, publisher: Publisher) -> None:
        self._context, self._publisher = context, publisher
        self._given_up: set[int] = set()

    def repair(self) -> None:
        """Do what dead workers left undone in the storage."""
        store, handle = self._context.store, self._context.handle
        self._context.patiently(lambda: outcomes.repair(store, optuna_study(store, handle)))
        self._context.patiently(lambda: expire_gone(store, handle.study_id))

    def sync(self) -> None:
        """Have the curves that were left here sent, and the status of runs without a worker corrected."""
        context = self._context
        self._clean()
        job = partial(sync_runs, context.store, context.handle, context.tracker, context.location.workdir)
        context.sender.submit("runs without a worker", job)

    def _clean(self) -> None:
        """Delete what is left here of published trials, whose workers died as they deleted it."""
        store, handle = self._context.store, self._context.handle
        for row in self._context.patiently(lambda: budget.rows(store, handle.study_id)):
            if row.published:
                remove(self._context.location.workdir.slot(handle.name, handle.uid, row.number))

    def publish_left(self, by_hand: bool = False) -> None:
        """Publish what dead workers left unpublished; then wait a little for the sender.

        `by_hand`: also slots whose attempts are used up.
        """
        context = self._context
        claimant = replace(context.claimant, max_attempts=ANY_ATTEMPT) if by_hand else context.claimant
        claimed = partial(claim_unpublished, context.store, context.handle.study_id, claimant, self._given_up)
        while not context.stopping and (lease := context.patiently(claimed)) is not None:
            try:
                self._publish(lease)
            except (LeaseLost, OmadError, TrackingError) as error:
                log.warning("slot %d cannot be published here: %s", lease.number, error)
        if not context.send(DRAIN_SECONDS, self._publisher.keep):
            left = ", ".join(context.sender.pending())
            log.warning("not sent yet: %s; it is kept here, and any later worker of the study sends it", left)

    def _publish(self, lease: Lease) -> None:
        """Publish a slot of a dead worker from its last checkpoint."""
        context = self._context
        self._given_up.add(lease.number)
        if lease.trial_id is None:
            context.patiently(lambda: lease_writes.publish(context.store, lease))
            return
        trial = context.patiently(lambda: read_trial(context.store, lease))
        held_lease = context.lease_keeper.hold(lease)
        try:
            info = context.run_info(lease, trial, self._config_of(trial))
            spool = Spool(context.folder(lease) / lease_folder(lease.token))
            run = SlotRun(context, held_lease, context.parent, info, spool)
            run.open()
            loaded = context.load(held_lease)
        except TrackingError as error:
            log.warning("trial %d cannot be published yet: %s", trial.number, error)
            context.lease_keeper.drop(held_lease)
            context.give_back(lease)  # not an attempt that counts: no worker died of it
            return
        if self._leaves_to_others(held_lease, loaded, trial.number):
            return
        self._publisher.submit(held_lease, run, self._result(lease, trial, loaded, spool))
        context.send(DRAIN_SECONDS, self._publisher.keep)

    def _leaves_to_others(self, held_lease: HeldLease, loaded: LoadedCheckpoint | None, number: int) -> bool:
        """Release a complete trial whose last checkpoint, and so its model, cannot be read here; whether it was."""
        lease = held_lease.lease
        newest = lease.checkpoints[0] if lease.checkpoints else None
        if lease.outcome != "complete" or (loaded is not None and loaded.ref == newest):
            return False
        log.warning(
            "trial %d is complete; only the machine that has its last checkpoint can publish it", number
        )
        self._context.lease_keeper.drop(held_lease)
        self._context.give_back(lease)
        return True

    def _result(
        self, lease: Lease, trial: FrozenTrial, loaded: LoadedCheckpoint | None, spool: Spool
    ) -> Result:
        """The ended trial as its checkpoint has it, its policy included."""
        spec, folder = self._context.spec, self._context.folder(lease)
        if loaded is None:
            return Result(spec, trial.number, trial.params, None, 0, spool)
        spool.replace(loaded.curve)
        evaluations = [state.records["evaluations"] for state in loaded.states]
        state = loaded.states[best_seed(evaluations, spec.score_evaluations)]
        policy = Policy.of_member(make_spec(state.config.task, state.config.env), state)
        save_model(policy, folder / "model", state.config, trial.number)
        return Result(spec, trial.number, trial.params, folder / "model", loaded.ref.step, spool)

    def _config_of(self, trial: FrozenTrial) -> TrainConfig:
        """Settings of a trial; those of the study for a trial without parameters."""
        spec = self._context.spec
        try:
            return spec.config_of(trial)
        except (OmadError, ValueError):
            return spec.config
