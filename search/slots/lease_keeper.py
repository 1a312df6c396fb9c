"""Ledger: writes to the storage while training goes on, on a thread of its own.

Leases are renewed for progress that was told, never by the mere beat of a clock: a hung trainer loses its slot.
While the database is away, what was written waits in order and training does not.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from search.errors import LeaseLost, SearchError, StorageUnavailable
from search.slots import slots
from search.slots.lease import Lease
from search.storage.patience import PATIENCE_SECONDS
from search.storage.store import Store

log = logging.getLogger(__name__)

Write = Callable[[Lease], Lease | None]
"""Something written under a lease; from the lease it answers with, checkpoints and attempt are taken over."""

RENEWALS_PER_LEASE = 4
LONGEST_SILENCE = 3.0
"""Seconds after which progress is shown to others, however long the lease."""
LONGEST_PAUSE = 15.0
FORGOTTEN_AFTER = 2.0
"""Progress older than this many seconds renews nothing."""


class Hold:
    """A lease in this worker's hands, as the ledger's thread knows it."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._lock = threading.Lock()
        self.lost: LeaseLost | None = None
        self.wanted = "running"
        self.prune = False
        self.progress: dict[str, Any] | None = None
        self.told = 0.0
        self.renewed = 0.0
        self.busy_seconds = 0.0

    @property
    def lease(self) -> Lease:
        """The lease as this worker knows it."""
        return self._lease

    def change(self, **fields: Any) -> None:
        """Learn something new of the lease; other threads' news of other fields stay."""
        with self._lock:
            self._lease = replace(self._lease, **fields)


class Ledger:
    """One thread that renews the leases held and makes their writes, in order, patiently."""

    def __init__(
        self, store: Store, lease_seconds: float, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._store, self._lease_seconds, self._patience = store, lease_seconds, patience_seconds
        self._every = min(lease_seconds / RENEWALS_PER_LEASE, LONGEST_SILENCE)
        self._holds: list[Hold] = []
        self._writes: deque[tuple[Hold, Write]] = deque()
        self._writing = False
        self._changed = threading.Condition()
        self._closing = False
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def hold(self, lease: Lease, progress: Mapping[str, Any] | None = None) -> Hold:
        """Keep a lease alive from now on; `progress` is shown at once."""
        hold = Hold(lease)
        hold.told = time.monotonic()
        hold.progress = dict(progress) if progress is not None else None
        with self._changed:
            self._holds.append(hold)
            self._changed.notify_all()
        return hold

    def drop(self, hold: Hold) -> None:
        """Renew a lease no more and forget what was to be written under it."""
        with self._changed:
            self._holds = [h for h in self._holds if h is not hold]
            self._writes = deque((h, w) for h, w in self._writes if h is not hold)

    def tell(self, hold: Hold, progress: Mapping[str, Any] | None = None) -> None:
        """Progress was made; the lease may be renewed for it."""
        with self._changed:
            hold.told = time.monotonic()
            if progress is not None:
                hold.progress = dict(progress)
            self._changed.notify_all()

    def busy(self, hold: Hold, seconds: float) -> None:
        """The trainer says that it cannot report for up to `seconds`: extend the lease once by that."""
        with self._changed:
            hold.busy_seconds, hold.told = seconds, time.monotonic()
            self._changed.notify_all()

    def submit(self, hold: Hold, write: Write) -> None:
        """Make a write soon, after those before it; returns at once."""
        with self._changed:
            self._writes.append((hold, write))
            self._changed.notify_all()

    def drain(self, seconds: float) -> bool:
        """Wait until everything is written; False when time is up or the storage is lost."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self.failure is not None or (not self._writes and not self._writing), timeout=seconds
            )

    def close(self) -> None:
        """End the thread; unwritten writes are dropped."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=5.0)

    def _work(self) -> None:
        away_since, pause = None, 0.25
        while (hold_and_write := self._next()) is not None:
            hold, write = hold_and_write
            try:
                self._make(hold, write)
                away_since, pause = None, 0.25
            except StorageUnavailable as error:
                away_since = away_since or time.monotonic()
                self._put_back(hold, write)
                if time.monotonic() - away_since > self._patience:
                    self._fail(error)
                    return
                log.warning("%s; training goes on and this is tried again", error)
                time.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - the border of this thread: the worker raises it
                self._fail(error)
                return

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self.failure, self._writing = error, False
            self._changed.notify_all()

    def _make(self, hold: Hold, write: Write | None) -> None:
        try:
            if write is None:
                self._renew(hold)
            elif hold.lost is None:
                written = write(hold.lease)
                if written is not None:
                    hold.change(checkpoints=written.checkpoints, attempt=written.attempt)
        except LeaseLost as error:
            hold.lost = error
        with self._changed:
            self._writing = False
            self._changed.notify_all()

    def _renew(self, hold: Hold) -> None:
        with self._changed:
            begun, announced, hold.busy_seconds = time.monotonic(), hold.busy_seconds, 0.0
            progress = hold.progress
        try:
            hold.wanted = slots.renew(self._store, hold.lease, self._lease_seconds + announced, progress)
        except StorageUnavailable:
            with self._changed:
                hold.busy_seconds = max(hold.busy_seconds, announced)
            raise
        hold.renewed = begun

    def _next(self) -> tuple[Hold, Write | None] | None:
        """The next write, or a renewal (None for its write) that is due; waited for."""
        with self._changed:
            while not self._closing:
                due = self._due()
                if due is not None:
                    self._writing = True
                    return due, None
                if self._writes:
                    self._writing = True
                    return self._writes.popleft()
                self._changed.wait(timeout=0.5)
        return None

    def _due(self) -> Hold | None:
        now = time.monotonic()
        for hold in self._holds:
            fresh = hold.told > hold.renewed and now - hold.told < FORGOTTEN_AFTER + self._lease_seconds / 2
            due = hold.busy_seconds > 0 or now - hold.renewed >= self._every
            if hold.lost is None and fresh and due:
                return hold
        return None

    def _put_back(self, hold: Hold, write: Write | None) -> None:
        with self._changed:
            self._writing = False
            if write is not None and hold in self._holds:
                self._writes.appendleft((hold, write))


def check_alive(ledger: Ledger) -> None:
    """Raise what ended the ledger's thread, if anything did."""
    if isinstance(ledger.failure, SearchError):
        raise ledger.failure
    if ledger.failure is not None:
        raise RuntimeError("the ledger's thread ended") from ledger.failure
