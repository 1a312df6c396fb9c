"""Attempts: every claim of a slot leaves a row that says who was at it, from when to when, and how it ended."""

import pytest

from search.errors import LeaseLost
from search.history import attempts
from search.slots import budget, lease_writes
from search.slots.claim import Claimant, claim, claim_unpublished
from search.slots.lease import Lease
from search.slots.studies import StudyHandle, delete_study
from search.storage.store import Store


def take(store: Store, handle: StudyHandle, owner: str, seconds: float = 60.0, most: int = 5) -> Lease:
    lease = claim(store, handle.study_id, Claimant(owner, seconds, most))
    assert lease is not None
    return lease


def ends(store: Store, handle: StudyHandle) -> list[tuple[int, int, str, str | None]]:
    found = attempts.read(store, handle.study_id)
    for each in found:
        assert (each.ended_at is None) == (each.end is None)
        assert each.ended_at is None or each.end == "lost" or each.ended_at >= each.began_at
    return [(each.number, each.token, each.owner, each.end) for each in found]


def test_each_claim_is_a_row_and_says_how_it_ended(store: Store, handle: StudyHandle) -> None:
    lease_writes.release(store, take(store, handle, "polite"))
    lease_writes.fail(store, take(store, handle, "clumsy"), "oops")
    take(store, handle, "silent", seconds=0.0)
    lease_writes.finish(store, take(store, handle, "done"), "complete", 1.0)
    assert ends(store, handle) == [
        (0, 1, "polite", "released"),
        (0, 2, "clumsy", "raised"),
        (0, 3, "silent", "lost"),
        (0, 4, "done", "complete"),
    ]


def test_a_silent_workers_attempt_ends_with_its_lease(store: Store, handle: StudyHandle) -> None:
    take(store, handle, "silent", seconds=-100.0)
    take(store, handle, "successor")
    silent, successor = attempts.read(store, handle.study_id)
    assert silent.ended_at is not None
    assert successor.began_at - silent.ended_at >= 100.0
    assert successor.ended_at is None


def test_a_slot_that_is_given_up_and_one_that_fails_at_last(store: Store, handle: StudyHandle) -> None:
    take(store, handle, "silent", seconds=0.0, most=1)
    failed = lease_writes.fail(store, take(store, handle, "other", most=1), "oops", max_attempts=1)
    assert failed is not None
    assert failed.number == 1
    assert ends(store, handle) == [(0, 1, "silent", "lost"), (1, 1, "other", "failed")]


def test_publishing_is_no_attempt_to_train(store: Store, handle: StudyHandle) -> None:
    lease_writes.finish(store, take(store, handle, "trainer"), "pruned", 1.0, seconds=0.0)
    assert claim_unpublished(store, handle.study_id, Claimant("publisher")) is not None
    assert ends(store, handle) == [(0, 1, "trainer", "pruned")]


def test_a_write_that_is_repeated_changes_nothing(store: Store, handle: StudyHandle) -> None:
    lease = take(store, handle, "me")
    lease_writes.finish(store, lease, "complete", 1.0)
    before = attempts.read(store, handle.study_id)
    lease_writes.finish(store, lease, "complete", 1.0)
    assert attempts.read(store, handle.study_id) == before


def test_they_go_with_their_study(store: Store, handle: StudyHandle) -> None:
    take(store, handle, "me")
    delete_study(store, handle)
    assert attempts.read(store, handle.study_id) == []
    assert budget.rows(store, handle.study_id) == []


def test_a_late_write_ends_no_attempt_of_its_successors(store: Store, handle: StudyHandle) -> None:
    silent = take(store, handle, "silent", seconds=0.0)
    take(store, handle, "successor")
    with pytest.raises(LeaseLost, match="taken over"):
        lease_writes.release(store, silent)
    assert ends(store, handle) == [(0, 1, "silent", "lost"), (0, 2, "successor", None)]
