"""Publications: ended trials on their way to MLflow, while their slots are kept."""

import logging
from collections.abc import Callable
from functools import partial

from search.errors import LeaseLost
from search.records.publishing import Result, publish
from search.slots.ledger import Hold
from search.worker.desk import Desk
from tracking.errors import TrackingUnavailable

log = logging.getLogger(__name__)


class Publications:
    """What one worker has handed to the sender and not yet seen published."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._holds: list[Hold] = []

    def submit(self, hold: Hold, run_id: Callable[[], str], result: Result) -> None:
        """Have a result published soon; its lease is dropped then."""
        self._holds.append(hold)
        job = partial(self._publish, hold, run_id, result)
        # In the place of a checkpoint that still waits there: it would come back after its deletion.
        self._desk.rooms.sender.submit(f"trial of slot {hold.lease.number}: checkpoint", job)

    def _publish(self, hold: Hold, run_id: Callable[[], str], result: Result) -> None:
        rooms, folder = self._desk.rooms, self._desk.folder(hold.lease)
        try:
            if hold.lost is None:
                publish(rooms, hold.lease, run_id(), result, folder)
        except TrackingUnavailable:
            raise  # the sender tries again, under the same lease
        except LeaseLost as error:
            log.warning("%s; its successor publishes trial %d", error, result.number)
        except Exception:
            self._let_go(hold)
            self._desk.give_back(hold.lease)  # no attempt that counts: it killed nobody
            raise
        self._let_go(hold)

    def _let_go(self, hold: Hold) -> None:
        self._desk.rooms.ledger.drop(hold)
        self._holds.remove(hold)

    def keep(self) -> None:
        """Keep the leases of those that wait, for as long as this worker lives."""
        for hold in list(self._holds):
            self._desk.rooms.ledger.tell(hold)
