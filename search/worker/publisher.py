"""Publisher: has ended trials sent to MLflow while it renews their leases."""

import logging
from functools import partial

from search.errors import LeaseLost
from search.recording.publication import Result, publish
from search.recording.slot_run import SlotRun
from search.slots.lease_keeper import HeldLease
from search.worker.context import WorkerContext
from tracking.errors import TrackingUnavailable

log = logging.getLogger(__name__)


class Publisher:
    """The ended trials of one worker that are not published yet."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._holds: list[HeldLease] = []

    def submit(self, held: HeldLease, run: SlotRun, result: Result) -> None:
        """Have a result published soon; its lease is dropped then."""
        self._holds.append(held)
        job = partial(self._publish, held, run, result)
        # In the place of a checkpoint that still waits there: it would come back after its deletion.
        self._context.sender.submit(f"trial of slot {held.lease.number}: checkpoint", job)

    def _publish(self, held: HeldLease, run: SlotRun, result: Result) -> None:
        context, folder = self._context, self._context.folder(held.lease)
        try:
            if held.lost is None:
                publish(context, held.lease, run, result, folder)
        except TrackingUnavailable:
            raise  # the sender tries again, under the same lease
        except LeaseLost as error:
            log.warning("%s; its successor publishes trial %d", error, result.number)
        except Exception:
            self._let_go(held)
            self._context.give_back(held.lease)  # not an attempt that counts: no worker died of it
            raise
        self._let_go(held)

    def _let_go(self, held: HeldLease) -> None:
        self._context.lease_keeper.drop(held)
        self._holds.remove(held)

    def keep(self) -> None:
        """Renew the leases of the trials that wait."""
        for held in list(self._holds):
            self._context.lease_keeper.note_progress(held)
