"""Recording: what of a trial goes to MLflow, as jobs of the sender; nothing here is waited for by training."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from search.errors import LeaseLost
from search.records.keeping import ARTIFACTS, Keeper, address
from search.slots import slots
from search.slots.lease import CheckpointRef, Lease
from search.slots.ledger import Hold, Ledger
from search.storage.patience import PATIENCE_SECONDS, patiently
from search.storage.store import Store
from tracking.errors import TrackingError, TrackingUnavailable
from tracking.sender import Sender, send_first
from tracking.spool import Spool
from tracking.system import SystemWatch
from tracking.tracker import RunInfo, RunStatus, Tracker

log = logging.getLogger(__name__)

STATUS: dict[str, RunStatus] = {
    "complete": "finished",
    "pruned": "pruned",
    "diverged": "pruned",
    "failed": "failed",
}
"""MLflow's status of a trial's run, by the slot's outcome."""


@dataclass(frozen=True)
class Rooms:
    """Where a worker writes to: the storage, the tracking server, and the threads that do it."""

    store: Store
    ledger: Ledger
    tracker: Tracker
    sender: Sender
    patience_seconds: float = PATIENCE_SECONDS
    watch: SystemWatch = field(default_factory=SystemWatch)


def open_run(rooms: Rooms, lease: Lease, parent: RunInfo, info: RunInfo) -> str:
    """The slot's run: the one it has, else one found or created and bound to it. Raises LeaseLost."""
    if lease.mlflow_run_id is not None:
        rooms.tracker.resume_run(lease.mlflow_run_id)
        rooms.tracker.complete_run(lease.mlflow_run_id, info)
        return lease.mlflow_run_id
    info = replace(info, parent_run_id=rooms.tracker.open_run(parent))
    mine = rooms.tracker.open_run(info)
    winner = patiently(lambda: slots.bind_run(rooms.store, lease, mine), rooms.patience_seconds).mlflow_run_id
    if winner != mine:
        rooms.tracker.discard_run(mine)
    return winner or mine


class Recording:
    """One trial's run while its lease is held."""

    def __init__(
        self, rooms: Rooms, hold: Hold, parent: RunInfo, info: RunInfo, spool: Spool, keeper: Keeper
    ) -> None:
        self._rooms, self._hold = rooms, hold
        self._parent, self._info = parent, info
        self._spool, self._keeper = spool, keeper
        self._run_id: str | None = None
        self._abandoned: str | None = None
        self.key = f"trial of slot {hold.lease.number}"

    def begin_again(self, course: str) -> None:
        """Give the trial a new run: the one it has shows points past the step from which it goes on."""
        self._abandoned = self._hold.lease.mlflow_run_id
        self._info = replace(self._info, course=course)
        slots.unbind_run(self._rooms.store, self._hold.lease)
        self._hold.change(mlflow_run_id=None)

    def open(self) -> None:
        """Have the run opened soon."""
        self._submit("run", self._open)

    def _open(self) -> None:
        self.run_id()
        if self._abandoned is not None:
            self._rooms.tracker.discard_run(self._abandoned)

    def run_id(self) -> str:
        """The run, opened if need be; for the sender's thread. Raises LeaseLost."""
        if self._run_id is None:
            lease = self._hold.lease
            patiently(partial(slots.check, self._rooms.store, lease), self._rooms.patience_seconds)
            self._run_id = open_run(self._rooms, lease, self._parent, self._info)
            self._hold.change(mlflow_run_id=self._run_id)
        return self._run_id

    def _submit(self, what: str, job: Callable[[], object]) -> None:
        self._rooms.sender.submit(f"{self.key}: {what}", partial(self._while_held, job))

    def _while_held(self, job: Callable[[], object]) -> None:
        """Run a job unless the slot is a successor's, whose run it then is."""
        try:
            if self._hold.lost is None:
                job()
        except LeaseLost as error:
            log.info("%s; its run is the successor's", error)

    def checkpointed(self, ref: CheckpointRef, rows: int) -> None:
        """A checkpoint that holds `rows` rows is recorded on the slot: store it in the run, then send those.

        Rows, not steps: the evaluation at its own step may come after it, and is then measured again from it.
        """
        self._submit("checkpoint", partial(self._upload, ref, rows))

    def _upload(self, ref: CheckpointRef, rows: int) -> None:
        run_id = self.run_id()
        if not self._keeper.upload(ref, self._hold.lease, run_id, self._rooms.tracker):
            return  # a newer one has taken its place, and has a job of its own
        uploaded = replace(ref, uri=address(run_id))

        def record(lease: Lease) -> Lease:
            recorded = slots.record_checkpoint(self._rooms.store, lease, uploaded)
            self._submit("curve", partial(self._send_curve, rows))
            return recorded

        self._rooms.ledger.submit(self._hold, record)

    def _send_curve(self, rows: int) -> None:
        """Only now: whoever takes over can go on from here, so that no point is ever measured twice."""
        send_first(self._spool, self._rooms.tracker, self.run_id(), rows)
        if self._abandoned is not None:
            self._rooms.tracker.delete(self._abandoned, ARTIFACTS)
            self._abandoned = None


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
