"""Substitute: what workers that are gone left undone, done from what they recorded."""

import logging
from dataclasses import replace
from functools import partial

from optuna.trial import FixedTrial, FrozenTrial

from omad_core.config import TrainConfig
from omad_core.envs import make_spec
from omad_core.errors import OmadError
from omad_core.policy import Policy
from search.errors import LeaseLost
from search.records.home import lease_folder
from search.records.keeping import Loaded
from search.records.publishing import Result
from search.records.recording import open_run
from search.records.syncing import sync_runs
from search.slots import endings, slots
from search.slots.alive import expire_gone
from search.slots.binding import frozen
from search.slots.claim import claim_unpublished
from search.slots.lease import Lease
from search.slots.ledger import Hold
from search.slots.study import optuna_study
from search.worker.course import best_seed, save_model
from search.worker.desk import DRAIN_SECONDS, Desk
from search.worker.publications import Publications
from tracking.errors import TrackingError
from tracking.spool import Spool

log = logging.getLogger(__name__)

ANY_ATTEMPT = 2**31 - 1
"""More attempts than any database counts."""


class Substitute:
    """Repairs, sends and publishes in the place of others."""

    def __init__(self, desk: Desk, publications: Publications) -> None:
        self._desk, self._publications = desk, publications
        self._given_up: set[int] = set()

    def repair(self) -> None:
        """Do what workers that died left undone, as far as the storage goes."""
        store, handle = self._desk.store, self._desk.handle
        self._desk.patiently(lambda: endings.repair(store, optuna_study(store, handle)))
        self._desk.patiently(lambda: expire_gone(store, handle.study_id))

    def sync(self) -> None:
        """Have the curves sent that were left here, and runs that nobody is at shown so."""
        desk = self._desk
        job = partial(sync_runs, desk.store, desk.handle, desk.rooms.tracker, desk.place.home)
        desk.rooms.sender.submit("runs that nobody is at", job)

    def publish_left(self, by_hand: bool = False) -> None:
        """Do what finishers that died left undone; then wait a little for the sender.

        `by_hand`: also what the attempts of workers are used up for.
        """
        desk = self._desk
        claimant = replace(desk.claimant, max_attempts=ANY_ATTEMPT) if by_hand else desk.claimant
        claimed = partial(claim_unpublished, desk.store, desk.handle.study_id, claimant, self._given_up)
        while not desk.stopping and (lease := desk.patiently(claimed)) is not None:
            try:
                self._publish(lease)
            except (LeaseLost, OmadError, TrackingError) as error:
                log.warning("slot %d cannot be published here: %s", lease.number, error)
        if not desk.send(DRAIN_SECONDS, self._publications.keep):
            left = ", ".join(desk.rooms.sender.pending())
            log.warning("not sent yet: %s; it is kept here, and any later worker of the study sends it", left)

    def _publish(self, lease: Lease) -> None:
        """Finish the publishing of a slot whose worker is gone, from its last checkpoint."""
        desk = self._desk
        self._given_up.add(lease.number)
        if lease.trial_id is None:
            desk.patiently(lambda: slots.publish(desk.store, lease))
            return
        trial = desk.patiently(lambda: frozen(desk.store, lease))
        hold = desk.rooms.ledger.hold(lease)
        try:
            info = desk.run_info(lease, trial, self._config_of(trial))
            run_id = open_run(desk.rooms, lease, desk.parent, info)
            hold.change(mlflow_run_id=run_id)
            loaded = desk.load(hold)
        except TrackingError as error:
            log.warning("trial %d cannot be published yet: %s", trial.number, error)
            desk.rooms.ledger.drop(hold)
            desk.give_back(lease)  # it killed nobody: this is no attempt that counts
            return
        if self._leaves_to_others(hold, loaded, trial.number):
            return
        self._publications.submit(hold, lambda: run_id, self._result(lease, trial, loaded))
        desk.send(DRAIN_SECONDS, self._publications.keep)

    def _leaves_to_others(self, hold: Hold, loaded: Loaded | None, number: int) -> bool:
        """Whether a complete trial's last checkpoint, and so its model, is not to be had here."""
        lease = hold.lease
        newest = lease.checkpoints[0] if lease.checkpoints else None
        if lease.outcome != "complete" or (loaded is not None and loaded.ref == newest):
            return False
        log.warning(
            "trial %d is complete; only the machine that has its last checkpoint can publish it", number
        )
        self._desk.rooms.ledger.drop(hold)
        self._desk.give_back(lease)
        return True

    def _result(self, lease: Lease, trial: FrozenTrial, loaded: Loaded | None) -> Result:
        """The ended trial as its checkpoint has it, its policy included."""
        spec, folder = self._desk.spec, self._desk.folder(lease)
        spool = Spool(folder / lease_folder(lease.token))
        if loaded is None:
            return Result(spec, trial.number, trial.params, None, 0, spool)
        spool.replace(loaded.curve)
        evaluations = [state.records["evaluations"] for state in loaded.states]
        state = loaded.states[best_seed(evaluations, spec.score_evaluations)]
        policy = Policy.of_member(make_spec(state.config.task, state.config.env), state)
        save_model(policy, folder / "model", state.config, trial.number)
        return Result(spec, trial.number, trial.params, folder / "model", loaded.ref.step, spool)

    def _config_of(self, trial: FrozenTrial) -> TrainConfig:
        """What a trial trained; the study's own settings where it never got that far."""
        spec = self._desk.spec
        try:
            return spec.space.sample(FixedTrial(trial.params), spec.config)
        except (OmadError, ValueError):
            return spec.config
