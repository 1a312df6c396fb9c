"""Publications: ended trials on their way to MLflow, while their slots are kept."""

import logging
from collections.abc import Callable

from search.errors import LeaseLost
from search.records.publishing import Result, publish
from search.slots.ledger import Hold
from search.worker.desk import Desk

log = logging.getLogger(__name__)


class Publications:
    """What one worker has handed to the sender and not yet seen published."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._holds: list[Hold] = []

    def submit(self, hold: Hold, run_id: Callable[[], str], result: Result) -> None:
        """Have a result published soon; its lease is dropped then."""
        rooms, folder = self._desk.rooms, self._desk.folder(hold.lease)
        self._holds.append(hold)

        def job() -> None:
            if hold.lost is None:
                try:
                    publish(rooms, hold.lease, run_id(), result, folder)
                except LeaseLost as error:
                    log.warning("%s; its successor publishes trial %d", error, result.number)
            rooms.ledger.drop(hold)
            self._holds.remove(hold)

        # In the place of a checkpoint that still waits there: it would come back after its deletion.
        rooms.sender.submit(f"trial of slot {hold.lease.number}: checkpoint", job)

    def keep(self) -> None:
        """Keep the leases of those that wait, for as long as this worker lives."""
        for hold in list(self._holds):
            self._desk.rooms.ledger.tell(hold)
