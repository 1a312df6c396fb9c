"""The ledger: leases live by progress that was told, and whoever lost one hears it and writes nothing more."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from search.slots import budget, lease_writes
from search.slots.claim import Claimant, claim
from search.slots.lease import CheckpointRef, Lease
from search.slots.lease_keeper import HeldLease, LeaseKeeper
from search.slots.studies import StudyHandle, create_study
from search.storage.store import Store, open_storage

SECONDS = 1.5


class Bench:
    """A study of two slots, one of them held by a ledger with short leases."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.handle: StudyHandle = create_study(store, "hopper", 2, "{}")
        self.lease_keeper = LeaseKeeper(store, SECONDS, 30.0)
        self.hold: HeldLease = self.lease_keeper.hold(self.claim("first"))

    def claim(self, owner: str) -> Lease:
        lease = claim(self.store, self.handle.study_id, Claimant(owner, SECONDS))
        assert lease is not None
        return lease

    @property
    def left(self) -> float:
        return budget.rows(self.store, self.handle.study_id)[0].expires_in or 0.0


@pytest.fixture
def bench(new_url: Callable[[str], str]) -> Iterator[Bench]:
    with open_storage(new_url("sqlite"), create=True) as store:
        made = Bench(store)
        yield made
        made.lease_keeper.close()


def test_progress_keeps_a_lease_and_silence_loses_it(bench: Bench) -> None:
    end = time.monotonic() + 2 * SECONDS
    while time.monotonic() < end:
        bench.lease_keeper.note_progress(bench.hold, {"step": 1})
        time.sleep(0.05)
    assert bench.left > 0
    time.sleep(3.2 * SECONDS)
    assert bench.left < 0, "the thread lives, the trainer hangs"
    assert bench.claim("second").number == 0


def test_what_was_announced_as_long_keeps_its_lease(bench: Bench) -> None:
    bench.lease_keeper.extend(bench.hold, 60.0)
    time.sleep(3 * SECONDS)
    assert bench.left > 30


def test_what_is_announced_during_a_renewal_is_not_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewing, go, renew = threading.Event(), threading.Event(), lease_writes.renew

    def slowly(*requested: Any) -> str:
        renewing.set()
        go.wait(10.0)
        return renew(*requested)

    monkeypatch.setattr(lease_writes, "renew", slowly)
    bench.lease_keeper.note_progress(bench.hold)
    assert renewing.wait(10.0)
    bench.lease_keeper.extend(bench.hold, 60.0)
    go.set()
    end = time.monotonic() + 10.0
    while bench.left < 30 and time.monotonic() < end:
        time.sleep(0.02)
    assert bench.left > 30


def test_a_worker_that_wakes_too_late_is_fenced(bench: Bench) -> None:
    time.sleep(1.2 * SECONDS)
    successor = bench.claim("second")
    assert (successor.number, successor.token) == (0, 2)
    bench.lease_keeper.submit(
        bench.hold,
        lambda lease: lease_writes.record_checkpoint(
            bench.store, lease, CheckpointRef(90, "late", "sha", "here")
        ),
    )
    assert bench.lease_keeper.drain(10.0)
    assert bench.hold.lost is not None
    assert "second" in str(bench.hold.lost)
    assert budget.rows(bench.store, bench.handle.study_id)[0].checkpoints == ()
    lease_writes.check(bench.store, successor)
    other = bench.lease_keeper.hold(bench.claim("first"))
    bench.lease_keeper.note_progress(other, {"step": 5})
    bench.lease_keeper.drain(5.0)
    assert other.lost is None, "it goes on with other work"
