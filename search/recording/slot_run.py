"""SlotRun: a slot's run in MLflow, opened when it is first written to, and again where a person deleted it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from search.checkpoints.store import ARTIFACTS
from search.slots import lease_writes
from search.slots.lease import Lease
from search.slots.lease_keeper import HeldLease, LeaseKeeper
from search.storage.patience import patiently
from search.storage.store import Store
from tracking.errors import RunDeleted, TrackingError, TrackingUnavailable
from tracking.sender import Sender
from tracking.spool.spool import Spool
from tracking.tracker import RunInfo, RunStatus, Tracker

log = logging.getLogger(__name__)

STATUS: dict[str, RunStatus] = {
    "complete": "finished",
    "pruned": "pruned",
    "diverged": "pruned",
    "failed": "failed",
}
"""MLflow's status of a trial's run, by the slot's outcome."""

T = TypeVar("T")


class RecordingContext(Protocol):
    """What recording needs of a worker: the storage, the tracking server, and the threads that write to them."""

    store: Store
    lease_keeper: LeaseKeeper
    tracker: Tracker
    sender: Sender
    patience_seconds: float


class SlotRun:
    """The run of a slot while its lease is held; used by the sender's thread alone, but for `restart`."""

    def __init__(
        self, context: RecordingContext, held_lease: HeldLease, parent: RunInfo, info: RunInfo, spool: Spool
    ) -> None:
        self._context, self._held = context, held_lease
        self._parent, self._info = parent, info
        self._spool = spool
        self._id: str | None = None

    def restart(self, generation: str) -> str | None:
        """Give the slot a new run, of the trial's next generation; returns the id of the one it had."""
        abandoned = self._held.lease.mlflow_run_id
        self._info = replace(self._info, generation=generation)
        self._unbind()
        return abandoned

    def open(self) -> str:
        """The run's id; the run is found or created if need be. Raises LeaseLost."""
        return self.write(lambda run_id: run_id)

    def write(self, action: Callable[[str], T]) -> T:
        """The action's answer for the run; where the run was deleted in MLflow, for a new one. Raises LeaseLost."""
        try:
            return action(self._open())
        except RunDeleted as error:
            log.warning("slot %d: %s It gets a new run.", self._held.lease.number, error)
            self._patiently(self._unbind)
            self._spool.forget_sent()
            return action(self._open())

    def _open(self) -> str:
        if self._id is None:
            lease = self._held.lease
            self._patiently(partial(lease_writes.check, self._context.store, lease))
            self._id = self._bound(lease)
            self._held.update(mlflow_run_id=self._id)
        return self._id

    def _bound(self, lease: Lease) -> str:
        """The run the slot has, else one that is found or created and bound to it."""
        tracker = self._context.tracker
        if lease.mlflow_run_id is not None:
            tracker.resume_run(lease.mlflow_run_id)
            tracker.complete_run(lease.mlflow_run_id, self._info)
            return lease.mlflow_run_id
        run_id = tracker.open_run(replace(self._info, parent_run_id=tracker.open_run(self._parent)))
        bind = partial(lease_writes.bind_run, self._context.store, lease, run_id)
        winner = self._patiently(bind).mlflow_run_id
        if winner != run_id:
            tracker.discard_run(run_id)
        return winner or run_id

    def _unbind(self) -> None:
        lease_writes.unbind_run(self._context.store, self._held.lease)
        self._held.update(mlflow_run_id=None)
        self._id = None

    def _patiently(self, action: Callable[[], T]) -> T:
        return patiently(action, self._context.patience_seconds)


def end_run(tracker: Tracker, run_id: str, lease: Lease, tags: Mapping[str, str]) -> None:
    """Give a run its true status and reason; its checkpoints are needed no more."""
    outcome = lease.outcome or "failed"
    tracker.end_run(run_id, STATUS[outcome], lease.reason or "")
    tracker.set_tags(run_id, {"omad.outcome": outcome, **tags})
    try:
        tracker.delete(run_id, ARTIFACTS)
    except TrackingUnavailable:
        raise
    except TrackingError as error:
        log.warning("the checkpoints of run %s could not be deleted: %s", run_id, error)
