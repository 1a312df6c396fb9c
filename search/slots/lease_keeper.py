"""LeaseKeeper: writes to the storage while training continues, on a thread of its own.

A lease is renewed for progress that the trainer noted, never by a timer alone: a hung trainer loses its slot.
While the database is unavailable, writes wait in order and training does not.
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
from search.slots import lease_writes
from search.slots.lease import Lease
from search.storage.patience import PATIENCE_SECONDS
from search.storage.store import Store

log = logging.getLogger(__name__)

Write = Callable[[Lease], Lease | None]
"""A write under a lease; `checkpoints` and `attempt` of the lease it returns replace those of the held one."""

RENEWALS_PER_LEASE = 4
LONGEST_SILENCE = 3.0
"""Seconds after which progress is shown to others, however long the lease."""
LONGEST_PAUSE = 15.0
FORGOTTEN_AFTER = 2.0
"""Progress older than this many seconds renews nothing."""


class HeldLease:
    """A lease that this worker holds, shared by training, the lease keeper and the sender."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._lock = threading.Lock()
        self.lost: LeaseLost | None = None
        self.desired_state = "running"
        self.prune = False
        self.progress: dict[str, Any] | None = None
        self.progressed_at = 0.0
        self.renewed_at = 0.0
        self.extension_seconds = 0.0

    @property
    def lease(self) -> Lease:
        """The lease as this worker knows it."""
        return self._lease

    def update(self, **fields: Any) -> None:
        """Replace fields of the lease; fields that other threads replace at the same time are kept."""
        with self._lock:
            self._lease = replace(self._lease, **fields)


class LeaseKeeper:
    """One thread that renews held leases and makes their writes in order; retries while the storage is unavailable."""

    def __init__(
        self, store: Store, lease_seconds: float, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._store, self._lease_seconds, self._patience = store, lease_seconds, patience_seconds
        self._every = min(lease_seconds / RENEWALS_PER_LEASE, LONGEST_SILENCE)
        self._holds: list[HeldLease] = []
        self._writes: deque[tuple[HeldLease, Write]] = deque()
        self._writing = False
        self._changed = threading.Condition()
        self._closing = False
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="lease-keeper", daemon=True)
        self._thread.start()

    def hold(self, lease: Lease, progress: Mapping[str, Any] | None = None) -> HeldLease:
        """Renew a lease from now on; `progress` is written with the first renewal."""
        held_lease = HeldLease(lease)
        held_lease.progressed_at = time.monotonic()
        held_lease.progress = dict(progress) if progress is not None else None
        with self._changed:
            self._holds.append(held_lease)
            self._changed.notify_all()
        return held_lease

    def drop(self, held_lease: HeldLease) -> None:
        """Stop renewing a lease and discard its queued writes."""
        with self._changed:
            self._holds = [h for h in self._holds if h is not held_lease]
            self._writes = deque((h, w) for h, w in self._writes if h is not held_lease)

    def note_progress(self, held_lease: HeldLease, progress: Mapping[str, Any] | None = None) -> None:
        """Note that training progressed; the lease may be renewed for it."""
        with self._changed:
            held_lease.progressed_at = time.monotonic()
            if progress is not None:
                held_lease.progress = dict(progress)
            self._changed.notify_all()

    def extend(self, held_lease: HeldLease, seconds: float) -> None:
        """Extend the lease once by `seconds`, in which the trainer cannot report."""
        with self._changed:
            held_lease.extension_seconds, held_lease.progressed_at = seconds, time.monotonic()
            self._changed.notify_all()

    def submit(self, held_lease: HeldLease, write: Write) -> None:
        """Queue a write; returns at once."""
        with self._changed:
            self._writes.append((held_lease, write))
            self._changed.notify_all()

    def drain(self, seconds: float) -> bool:
        """Wait until the queue is empty; False after `seconds`, or when the thread has failed."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self.failure is not None or (not self._writes and not self._writing), timeout=seconds
            )

    def raise_failure(self) -> None:
        """Raise what ended the thread, if anything did."""
        if isinstance(self.failure, SearchError):
            raise self.failure
        if self.failure is not None:
            what = f"{type(self.failure).__name__}: {self.failure}"
            raise RuntimeError(f"the thread of the lease keeper ended: {what}") from self.failure

    def close(self) -> None:
        """End the thread; writes that are still queued are dropped."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=5.0)

    def _work(self) -> None:
        unavailable_since, pause = None, 0.25
        while (hold_and_write := self._next()) is not None:
            held_lease, write = hold_and_write
            try:
                self._make(held_lease, write)
                unavailable_since, pause = None, 0.25
            except StorageUnavailable as error:
                unavailable_since = unavailable_since or time.monotonic()
                self._put_back(held_lease, write)
                if time.monotonic() - unavailable_since > self._patience:
                    self._fail(error)
                    return
                log.warning("%s; training continues and the write is retried", error)
                time.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - the border of this thread: the worker raises it
                self._fail(error)
                return

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self.failure, self._writing = error, False
            self._changed.notify_all()

    def _make(self, held_lease: HeldLease, write: Write | None) -> None:
        try:
            if write is None:
                self._renew(held_lease)
            elif held_lease.lost is None:
                written = write(held_lease.lease)
                if written is not None:
                    held_lease.update(checkpoints=written.checkpoints, attempt=written.attempt)
        except LeaseLost as error:
            held_lease.lost = error
        with self._changed:
            self._writing = False
            self._changed.notify_all()

    def _renew(self, held_lease: HeldLease) -> None:
        with self._changed:
            begun, announced, held_lease.extension_seconds = (
                time.monotonic(),
                held_lease.extension_seconds,
                0.0,
            )
            progress = held_lease.progress
        try:
            held_lease.desired_state = lease_writes.renew(
                self._store, held_lease.lease, self._lease_seconds + announced, progress
            )
        except StorageUnavailable:
            with self._changed:
                held_lease.extension_seconds = max(held_lease.extension_seconds, announced)
            raise
        held_lease.renewed_at = begun

    def _next(self) -> tuple[HeldLease, Write | None] | None:
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

    def _due(self) -> HeldLease | None:
        now = time.monotonic()
        for held_lease in self._holds:
            fresh = (
                held_lease.progressed_at > held_lease.renewed_at
                and now - held_lease.progressed_at < FORGOTTEN_AFTER + self._lease_seconds / 2
            )
            due = held_lease.extension_seconds > 0 or now - held_lease.renewed_at >= self._every
            if held_lease.lost is None and fresh and due:
                return held_lease
        return None

    def _put_back(self, held_lease: HeldLease, write: Write | None) -> None:
        with self._changed:
            self._writing = False
            if write is not None and held_lease in self._holds:
                self._writes.appendleft((held_lease, write))
