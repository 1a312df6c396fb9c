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

    def submit(self, held_lease: HeldLease, run: SlotRun, result: Result) -> None:
        """Have a result published soon; its lease is dropped then."""
        self._holds.append(held_lease)
        job = partial(self._publish, held_lease, run, result)
        # In the place of a checkpoint that still waits there: it would come back after its deletion.
        self._context.sender.submit(f"trial of slot {held_lease.lease.number}: checkpoint", job)

    def _publish(self, held_lease: HeldLease, run: SlotRun, result: Result) -> None:
        context, folder = self._context, self._context.folder(held_lease.lease)
        try:
            if held_lease.lost is None:
                publish(context, held_lease.lease, run, result, folder)
        except TrackingUnavailable:
            raise  # the sender tries again, under the same lease
        except LeaseLost as error:
            log.warning("%s; its successor publishes trial %d", error, result.number)
        except Exception:
            self._let_go(held_lease)
            self._context.give_back(held_lease.lease)  # not an attempt that counts: no worker died of it
            raise
        self._let_go(held_lease)

    def _let_go(self, held_lease: HeldLease) -> None:
        self._context.lease_keeper.drop(held_lease)
        self._holds.remove(held_lease)

    def keep(self) -> None:
        """Renew the leases of the trials that wait."""
        for held_lease in list(self._holds):
            self._context.lease_keeper.note_progress(held_lease)
