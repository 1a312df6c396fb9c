"""Slots: one holder at a time, whose every write is refused once somebody else has claimed."""

import dataclasses
import sys
import time
from collections.abc import Callable

import pytest

from search.errors import LeaseLost, StudyNotFound, TrialTaken
from search.slots import budget, lease_writes
from search.slots.claim import Claimant, claim, claim_unpublished
from search.slots.lease import CheckpointRef, Lease, SlotRow
from search.slots.studies import StudyHandle, create_study
from search.storage.store import Store


def ref(step: int, uri: str | None = None, home: str = "a:/home") -> CheckpointRef:
    return CheckpointRef(step, f"step-{step:08}/manifest.json", f"sha-{step}", home, uri)


def take(
    store: Store, handle: StudyHandle, owner: str = "me", seconds: float = 60.0, **options: int
) -> Lease:
    lease = claim(store, handle.study_id, Claimant(owner, seconds, **options))
    assert lease is not None
    return lease


def row(store: Store, handle: StudyHandle, number: int) -> SlotRow:
    return budget.rows(store, handle.study_id)[number]


def trial_ids() -> int:
    """An id that no other test uses."""
    return time.time_ns() % 2**31


WRITES: dict[str, Callable[[Store, Lease], object]] = {
    "renew": lease_writes.renew,
    "check": lease_writes.check,
    "record_checkpoint": lambda store, lease: lease_writes.record_checkpoint(store, lease, ref(9)),
    "bind_trial": lambda store, lease: lease_writes.bind_trial(store, lease, trial_ids()),
    "unbind_trial": lease_writes.unbind_trial,
    "bind_run": lambda store, lease: lease_writes.bind_run(store, lease, "late"),
    "finish": lambda store, lease: lease_writes.finish(store, lease, "complete", 1.0),
    "fail": lambda store, lease: lease_writes.fail(store, lease, "late"),
    "release": lease_writes.release,
    "publish": lease_writes.publish,
    "forget_checkpoints": lease_writes.forget_checkpoints,
}


@pytest.mark.parametrize("name", WRITES)
def test_a_worker_whose_slot_was_taken_over_is_refused(store: Store, handle: StudyHandle, name: str) -> None:
    silent = take(store, handle, "silent", seconds=0.0)
    successor = take(store, handle, "successor")
    assert successor.number == silent.number
    before = row(store, handle, silent.number)
    with pytest.raises(LeaseLost, match=r"taken over while this worker was silent .*; successor has it"):
        WRITES[name](store, silent)
    after = row(store, handle, silent.number)
    assert dataclasses.replace(after, expires_in=0) == dataclasses.replace(before, expires_in=0)


@pytest.mark.parametrize("name", sorted(set(WRITES) - {"publish", "forget_checkpoints", "renew", "check"}))
def test_a_worker_whose_finished_slot_was_taken_over_is_refused(
    store: Store, handle: StudyHandle, name: str
) -> None:
    silent = lease_writes.finish(store, take(store, handle), "complete", 1.0, seconds=0.0)
    assert claim_unpublished(store, handle.study_id, Claimant("successor")) is not None
    with pytest.raises(LeaseLost):
        WRITES[name](store, silent)


def test_every_slot_is_leased_once_and_in_order(store: Store, handle: StudyHandle) -> None:
    assert [take(store, handle).number for _ in range(4)] == [0, 1, 2, 3]
    assert claim(store, handle.study_id, Claimant("me")) is None


def test_a_lease_that_ran_out_is_renewed_if_nobody_took_it(store: Store, handle: StudyHandle) -> None:
    lease = take(store, handle, seconds=0.0)
    assert budget.counts(store, handle.study_id).resumable == 1
    assert lease_writes.renew(store, lease, 60.0) == "running"
    assert take(store, handle).number == 1
    assert 0 < (row(store, handle, 0).expires_in or 0) <= 60


def test_begun_slots_come_before_fresh_ones(store: Store, handle: StudyHandle) -> None:
    first, second = take(store, handle), take(store, handle, seconds=0.0)
    second = lease_writes.bind_trial(store, second, trial_ids())
    taken = take(store, handle)
    assert (taken.number, taken.trial_id, taken.token) == (second.number, second.trial_id, second.token + 1)
    assert taken.number != first.number


def test_a_released_slot_is_taken_over_at_once_with_all_it_has(store: Store, handle: StudyHandle) -> None:
    lease = lease_writes.bind_trial(store, take(store, handle), trial_ids())
    lease = lease_writes.bind_run(store, lease, "run")
    lease = lease_writes.record_checkpoint(store, lease, ref(100))
    lease_writes.release(store, lease)
    taken = take(store, handle, "successor")
    assert (taken.number, taken.trial_id, taken.mlflow_run_id) == (0, lease.trial_id, "run")
    assert taken.checkpoints == (ref(100),)
    assert taken.attempt == 1


def test_renewal_carries_progress_and_what_is_wanted(store: Store, handle: StudyHandle) -> None:
    lease = take(store, handle)
    budget.set_desired_state(store, handle.study_id, "paused")
    assert lease_writes.renew(store, lease, 60.0, {"step": 1200, "rate": float("nan")}) == "paused"
    assert row(store, handle, 0).progress == {"step": 1200, "rate": None}
    assert claim(store, handle.study_id, Claimant("other")) is None
    budget.set_desired_state(store, handle.study_id, "running")
    assert lease_writes.renew(store, lease) == "running"
    assert row(store, handle, 0).progress["step"] == 1200
    assert claim(store, handle.study_id, Claimant("other")) is not None


def test_no_study_no_control(store: Store) -> None:
    with pytest.raises(StudyNotFound):
        budget.set_desired_state(store, 987654, "paused")


def test_a_slot_that_kills_its_workers_fails_with_what_is_known(store: Store, handle: StudyHandle) -> None:
    for attempt in range(1, 6):
        lease = take(store, handle, seconds=0.0)
        assert (lease.number, lease.attempt) == (0, attempt)
        if attempt == 1:
            lease_writes.record_checkpoint(store, lease, ref(10_000))
            lease_writes.renew(store, lease, 0.0, {"step": 12_000})
            lease = take(store, handle, seconds=0.0)
    assert take(store, handle).number == 1
    failed = row(store, handle, 0)
    assert (failed.state, failed.outcome) == ("failed", "failed")
    assert failed.reason == "worker died 5 times at step 12,000"


def test_a_newer_checkpoint_starts_the_count_of_attempts_again(store: Store, handle: StudyHandle) -> None:
    lease = take(store, handle, seconds=0.0)
    lease = take(store, handle, seconds=0.0)
    assert lease.attempt == 2
    lease = lease_writes.record_checkpoint(store, lease, ref(100))
    again = take(store, handle, seconds=0.0)
    assert again.attempt == 1
    lease_writes.record_checkpoint(store, again, ref(100, uri="runs:/r/100"))
    assert take(store, handle, seconds=0.0).attempt == 2


def test_a_trial_that_raises_is_tried_again_until_its_attempts_are_used_up(
    store: Store, handle: StudyHandle
) -> None:
    # An open slot without a trial is fresh again, so it is the trial that makes it come back first.
    lease = lease_writes.bind_trial(store, take(store, handle, max_attempts=2), trial_ids())
    assert lease_writes.fail(store, lease, "out of memory", max_attempts=2) is None
    assert (row(store, handle, 0).state, row(store, handle, 0).reason) == ("open", "out of memory")
    lease = take(store, handle, max_attempts=2)
    assert (lease.number, lease.attempt) == (0, 2)
    ended = lease_writes.fail(store, lease, "out of memory again", max_attempts=2)
    assert ended is not None
    assert (ended.outcome, ended.reason, ended.token) == ("failed", "out of memory again", lease.token)
    lease_writes.publish(store, ended)
    assert (row(store, handle, 0).state, row(store, handle, 0).published) == ("failed", True)


@pytest.mark.parametrize("name", ["bind_trial", "bind_run", "finish", "fail", "release", "record_checkpoint"])
def test_a_write_whose_answer_was_lost_may_be_repeated(
    store: Store, handle: StudyHandle, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    always_one = trial_ids()
    monkeypatch.setattr(sys.modules[__name__], "trial_ids", lambda: always_one)
    lease = take(store, handle)
    assert WRITES[name](store, lease) == WRITES[name](store, lease)


def test_publishing_may_be_repeated(store: Store, handle: StudyHandle) -> None:
    lease = lease_writes.finish(store, take(store, handle), "pruned", 3.0)
    lease_writes.publish(store, lease)
    lease_writes.publish(store, lease)
    assert lease_writes.forget_checkpoints(store, lease).checkpoints == ()
    assert claim_unpublished(store, handle.study_id, Claimant("me")) is None


def test_a_published_slot_knows_its_model_and_what_was_told_of_it(store: Store, handle: StudyHandle) -> None:
    lease = take(store, handle)
    lease_writes.renew(store, lease, progress={"step": 700})
    lease_writes.publish(store, lease_writes.finish(store, lease, "complete", 3.0), "models:/m-1")
    published = row(store, handle, 0)
    assert (published.model_uri, published.progress["step"]) == ("models:/m-1", 700)
    lease_writes.publish(store, lease_writes.finish(store, take(store, handle), "pruned", 3.0))
    assert row(store, handle, 1).model_uri is None


def test_two_slots_cannot_have_one_trial(store: Store, handle: StudyHandle) -> None:
    first, second, trial = take(store, handle), take(store, handle), trial_ids()
    lease_writes.bind_trial(store, first, trial)
    with pytest.raises(TrialTaken):
        lease_writes.bind_trial(store, second, trial)
    assert row(store, handle, second.number).trial_id is None


def test_the_loser_of_a_race_for_the_run_learns_the_winner(store: Store, handle: StudyHandle) -> None:
    lease = take(store, handle)
    assert lease_writes.bind_run(store, lease, "first").mlflow_run_id == "first"
    assert lease_writes.bind_run(store, lease, "second").mlflow_run_id == "first"


def test_checkpoints_are_kept_newest_first_and_two_uploaded_ones_stay(
    store: Store, handle: StudyHandle
) -> None:
    lease = take(store, handle)
    for step in (100, 200, 300):
        lease = lease_writes.record_checkpoint(store, lease, ref(step))
        lease = lease_writes.record_checkpoint(store, lease, ref(step, uri="up"))
    for step in (400, 500, 600):
        lease = lease_writes.record_checkpoint(store, lease, ref(step))
    lease = lease_writes.record_checkpoint(store, lease, ref(500, uri="up"))
    assert [(c.step, c.uri) for c in lease.checkpoints] == [(600, None), (500, "up"), (300, "up")]
    assert row(store, handle, 0).checkpoints == lease.checkpoints


def test_a_checkpoint_of_another_generation_drops_those_past_it(store: Store, handle: StudyHandle) -> None:
    lease = lease_writes.record_checkpoint(store, take(store, handle), ref(100, uri="up"))
    lease = lease_writes.record_checkpoint(store, lease, ref(200))
    lease = lease_writes.record_checkpoint(store, lease, ref(150, home="b:/home"))
    assert [(c.step, c.home) for c in lease.checkpoints] == [(150, "b:/home"), (100, "a:/home")]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_complete_slot_has_a_finite_value(store: Store, handle: StudyHandle, value: float | None) -> None:
    with pytest.raises(ValueError, match=r"finite|needs a value"):
        lease_writes.finish(store, take(store, handle), "complete", value)
    assert row(store, handle, 0).state == "leased"


def test_a_finished_slot_is_published_by_another_when_its_finisher_is_gone(
    store: Store, handle: StudyHandle
) -> None:
    lease = lease_writes.finish(store, take(store, handle, "first"), "complete", 7.5, seconds=60.0)
    assert claim_unpublished(store, handle.study_id, Claimant("second")) is None
    lease_writes.renew(store, lease, seconds=0.0)
    assert claim_unpublished(store, handle.study_id, Claimant("second"), skip={0}) is None
    taken = claim_unpublished(store, handle.study_id, Claimant("second"))
    assert taken is not None
    assert (taken.number, taken.outcome, taken.value) == (0, "complete", 7.5)
    with pytest.raises(LeaseLost):
        lease_writes.publish(store, lease)
    lease_writes.release(store, taken)
    assert (row(store, handle, 0).state, row(store, handle, 0).published) == ("done", False)
    taken = claim_unpublished(store, handle.study_id, Claimant("third"))
    assert taken is not None
    lease_writes.publish(store, taken)
    assert budget.unpublished(store, handle.study_id) == []


def test_publishing_that_kills_its_workers_is_given_up(store: Store, handle: StudyHandle) -> None:
    lease_writes.finish(store, take(store, handle), "complete", 7.5, seconds=0.0)
    claims = [
        claim_unpublished(store, handle.study_id, Claimant("me", 0.0, max_attempts=3)) for _ in range(5)
    ]
    assert [lease is not None for lease in claims] == [True, True, True, False, False]
    assert [slot.number for slot in budget.unpublished(store, handle.study_id)] == [0]


def test_a_renewal_that_comes_late_takes_no_result_that_was_given_back(
    store: Store, handle: StudyHandle
) -> None:
    lease = lease_writes.finish(store, take(store, handle), "complete", 1.0)
    lease_writes.release(store, lease)
    with pytest.raises(LeaseLost):
        lease_writes.renew(store, lease)
    assert claim_unpublished(store, handle.study_id, Claimant("another")) is not None


def test_counts_say_what_can_be_done_with_the_slots(store: Store) -> None:
    study_id = create_study(store, f"counts-{trial_ids()}", trials=7, spec="{}").study_id
    leases = [claim(store, study_id, Claimant("me")) for _ in range(6)]
    released, ran_out, done, failed, held, published = (lease for lease in leases if lease)
    lease_writes.release(store, lease_writes.bind_trial(store, released, trial_ids()))
    lease_writes.renew(store, ran_out, 0.0)
    lease_writes.finish(store, done, "complete", 1.0)
    lease_writes.finish(store, failed, "failed", reason="no")
    lease_writes.publish(store, lease_writes.finish(store, published, "pruned"))
    lease_writes.renew(store, held)
    assert budget.counts(store, study_id) == budget.Counts(
        total=7, open=1, resumable=2, leased=1, done=2, failed=1, unpublished=2
    )
    assert not budget.counts(store, study_id).ended


def test_extending_adds_what_is_missing_and_takes_nothing_away(store: Store, handle: StudyHandle) -> None:
    assert budget.extend(store, handle.study_id, 6) == 2
    assert budget.extend(store, handle.study_id, 6) == 0
    assert budget.extend(store, handle.study_id, 3) == 0
    assert [slot.number for slot in budget.rows(store, handle.study_id)] == list(range(6))


def test_a_worker_whose_clock_is_ahead_takes_nothing_that_is_held(
    store: Store, handle: StudyHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [take(store, handle, "first", seconds=30.0) for _ in range(4)]
    real = time.time()
    monkeypatch.setattr(time, "time", lambda: real + 600)
    assert claim(store, handle.study_id, Claimant("ahead")) is None
    monkeypatch.setattr(time, "time", lambda: real - 600)
    lease_writes.renew(store, held[2], seconds=0.0)
    assert take(store, handle, "behind").number == 2


def test_a_slot_given_up_before_it_had_a_trial_leaves_nothing_to_publish(
    store: Store, handle: StudyHandle
) -> None:
    take(store, handle, seconds=0.0)
    assert take(store, handle, max_attempts=1).number == 1
    assert (row(store, handle, 0).state, row(store, handle, 0).published) == ("failed", True)
    assert claim_unpublished(store, handle.study_id, Claimant("me")) is None
