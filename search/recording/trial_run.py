"""TrialRun: one trial's run in MLflow, written by jobs of the sender; training waits for none of them."""

import logging
from collections.abc import Callable
from functools import partial

from search.checkpoints.store import ARTIFACTS
from search.errors import LeaseLost
from search.recording.slot_run import RecordingContext, SlotRun
from search.slots.lease_keeper import HeldLease
from tracking.sender import send_first
from tracking.spool.spool import Spool
from tracking.tracker import RunInfo

log = logging.getLogger(__name__)


class TrialRun:
    """One trial's run while its lease is held."""

    def __init__(
        self, context: RecordingContext, held_lease: HeldLease, parent: RunInfo, info: RunInfo, spool: Spool
    ) -> None:
        self._context, self._held = context, held_lease
        self._spool = spool
        self._abandoned: str | None = None
        self.run = SlotRun(context, held_lease, parent, info, spool)
        self.key = f"trial of slot {held_lease.lease.number}"

    def begin_again(self, generation: str) -> None:
        """Give the trial a new run: the one it has shows points past the step that it resumes from."""
        self._abandoned = self.run.restart(generation)

    def open(self) -> None:
        """Submit the opening of the run."""
        self.submit("run", self._open)

    def _open(self) -> None:
        self.run.open()
        if self._abandoned is not None:
            self._context.tracker.discard_run(self._abandoned)

    def submit(self, what: str, job: Callable[[], object]) -> None:
        """Submit a job of this run, skipped if the lease is lost by then; a newer one replaces one that waits."""
        self._context.sender.submit(f"{self.key}: {what}", partial(self._run_while_held, job))

    def _run_while_held(self, job: Callable[[], object]) -> None:
        """Run a job unless the lease is lost: the run is its successor's then."""
        try:
            if self._held.lost is None:
                job()
        except LeaseLost as error:
            log.info("%s; its run is the successor's", error)

    def send_rows(self, count: int) -> None:
        """Send what was not sent of the first `count` rows; for the sender's thread."""
        self.run.write(lambda run_id: send_first(self._spool, self._context.tracker, run_id, count))

    def forget_abandoned(self) -> None:
        """Delete the checkpoints of the run that this one replaced: the trial resumes from one of its own now."""
        if self._abandoned is not None:
            self._context.tracker.delete(self._abandoned, ARTIFACTS)
            self._abandoned = None
