"""Evaluations: each is stored once, as it was measured first; held by the token of its slot's lease.

The tests share their databases, so each has trials of its own.
"""

import pytest

from search.errors import LeaseLost
from search.history import evaluations
from search.history.evaluations import CurvePoint
from search.slots import lease_writes
from search.slots.claim import Claimant, claim
from search.slots.lease import Lease
from search.slots.studies import StudyHandle
from search.storage.store import Store

HELD_OUT = 4_000_000_000_001
"""Seeds of confirmations are longer than 32 bits."""


def take(store: Store, handle: StudyHandle, seconds: float = 60.0) -> Lease:
    lease = claim(store, handle.study_id, Claimant("me", seconds))
    assert lease is not None
    return lease


def row(trial: int, seed: int, step: int, seconds: float | None = None, value: float = 1.0) -> CurvePoint:
    return CurvePoint(trial, seed, step, [value, value + 1.0], seconds)


def test_they_are_read_as_they_were_written_by_trial_seed_and_step(store: Store, handle: StudyHandle) -> None:
    lease = take(store, handle)
    later = [row(17, HELD_OUT, 200, 9.5), row(17, 3, 100, 1.5)]
    lease_writes.record_evaluations(store, lease, later)
    lease_writes.record_evaluations(store, lease, [row(17, 3, 200, 2.5), row(16, 3, 100)])
    assert evaluations.read(store, handle.study_id) == [
        row(16, 3, 100),
        row(17, 3, 100, 1.5),
        row(17, 3, 200, 2.5),
        row(17, HELD_OUT, 200, 9.5),
    ]


def test_one_that_is_measured_again_stays_as_it_was(store: Store, handle: StudyHandle) -> None:
    lease = take(store, handle)
    lease_writes.record_evaluations(store, lease, [row(27, 3, 100, 1.5)])
    lease_writes.record_evaluations(store, lease, [row(27, 3, 100, 8.0), row(27, 3, 200, 9.0)])
    assert evaluations.read(store, handle.study_id) == [row(27, 3, 100, 1.5), row(27, 3, 200, 9.0)]


def test_a_worker_that_lost_its_slot_stores_none(store: Store, handle: StudyHandle) -> None:
    silent = take(store, handle, seconds=0.0)
    take(store, handle)
    with pytest.raises(LeaseLost, match="taken over"):
        lease_writes.record_evaluations(store, silent, [row(37, 3, 100)])
    assert evaluations.read(store, handle.study_id) == []
