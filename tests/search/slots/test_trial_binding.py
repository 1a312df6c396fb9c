"""Binding and ending: which Optuna trial a slot trains, and that both end alike."""

import itertools

import optuna
import pytest
from optuna.trial import Trial, TrialState, create_trial

from search.errors import LeaseLost, TrialEnded
from search.slots import budget, lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.keys import RETRY_OF, SLOT, TOKEN
from search.slots.lease import Lease
from search.slots.studies import StudyHandle, create_study, optuna_study
from search.storage.store import Store
from search.view.external_trials import ExternalTrials, external_trials

NAMES = (f"binding-{n}" for n in itertools.count())


def take(store: Store, handle: StudyHandle, seconds: float = 60.0, owner: str = "me") -> Lease:
    lease = claim(store, handle.study_id, Claimant(owner, seconds))
    assert lease is not None
    return lease


def bound(store: Store, handle: StudyHandle, seconds: float = 60.0) -> tuple[optuna.Study, Lease, Trial]:
    lease = take(store, handle, seconds)
    study = optuna_study(store, handle, optuna.samplers.RandomSampler(seed=lease.number))
    return study, *trial_binding.bind(store, study, lease)


def states(store: Store, handle: StudyHandle) -> list[TrialState]:
    return [trial.state for trial in store.rdb.get_all_trials(handle.study_id)]


def made_for(store: Store, handle: StudyHandle, slot: int, state: TrialState = TrialState.RUNNING) -> int:
    template = create_trial(state=state, user_attrs={SLOT: slot, TOKEN: 1})
    return store.optuna.create_new_trial(handle.study_id, template)


def test_a_new_trial_names_its_slot_and_token(store: Store, handle: StudyHandle) -> None:
    _, lease, trial = bound(store, handle)
    assert trial.user_attrs == {SLOT: 0, TOKEN: 1}
    assert budget.rows(store, handle.study_id)[0].trial_id == lease.trial_id
    assert states(store, handle) == [TrialState.RUNNING]


def test_a_successor_goes_on_with_the_same_trial_and_parameters(store: Store, handle: StudyHandle) -> None:
    _, lease, trial = bound(store, handle, seconds=0.0)
    x = trial.suggest_float("x", 0, 1)
    outcomes.report(store, lease, trial, 10, 1.5)
    study, successor, again = bound(store, handle)
    assert (successor.trial_id, again.number) == (lease.trial_id, trial.number)
    assert again.suggest_float("x", 0, 1) == x
    assert 0 <= again.suggest_float("y", 0, 1) <= 1
    outcomes.report(store, successor, again, 10, 1.5)
    outcomes.report(store, successor, again, 20, 2.5)
    outcomes.finish(store, study, successor, "complete", 2.5)
    done = store.rdb.get_trial(trial_binding.trial_id(successor))
    assert (done.state, done.value, done.intermediate_values) == (
        TrialState.COMPLETE,
        2.5,
        {10: 1.5, 20: 2.5},
    )


def test_a_worker_that_was_fenced_can_neither_report_nor_finish(store: Store, handle: StudyHandle) -> None:
    study, lease, trial = bound(store, handle, seconds=0.0)
    take(store, handle)
    with pytest.raises(LeaseLost):
        outcomes.report(store, lease, trial, 10, 1.0)
    with pytest.raises(LeaseLost):
        outcomes.finish(store, study, lease, "complete", 1.0)
    with pytest.raises(LeaseLost):
        outcomes.fail(store, study, lease, "late")
    with pytest.raises(LeaseLost):
        trial_binding.bind(store, study, lease)
    unchanged = store.rdb.get_trial(trial_binding.trial_id(lease))
    assert (unchanged.state, unchanged.intermediate_values) == (TrialState.RUNNING, {})


def test_reporting_to_a_trial_that_has_ended_is_a_lost_lease(store: Store, handle: StudyHandle) -> None:
    study, lease, trial = bound(store, handle)
    study.tell(trial, state=TrialState.FAIL)
    with pytest.raises(LeaseLost):
        outcomes.report(store, lease, trial, 10, 1.0)


def test_enqueued_trials_are_run_in_order_once_each_and_before_new_ones(store: Store) -> None:
    handle = create_study(store, next(NAMES), 4, "{}", enqueue=[{"x": 0.25}])
    optuna_study(store, handle).enqueue_trial({"x": 0.75})
    ran = [bound(store, handle)[2] for _ in range(4)]
    assert [trial.number for trial in ran] == [0, 1, 2, 3]
    assert [trial.suggest_float("x", 0, 1) for trial in ran][:2] == [0.25, 0.75]
    assert [trial.user_attrs[SLOT] for trial in store.rdb.get_all_trials(handle.study_id)] == [0, 1, 2, 3]


def test_enqueued_trials_wait_when_no_slot_is_open(store: Store) -> None:
    handle = create_study(store, next(NAMES), 1, "{}")
    bound(store, handle)
    optuna_study(store, handle).enqueue_trial({"x": 0.5})
    assert claim(store, handle.study_id, Claimant("me")) is None
    assert external_trials(store, handle).waiting == [1]


def test_a_trial_left_over_by_a_dead_worker_is_adopted_by_its_slot(store: Store, handle: StudyHandle) -> None:
    take(store, handle, seconds=0.0)
    left = made_for(store, handle, slot=0)
    _, lease, _ = bound(store, handle)
    assert (lease.number, lease.trial_id) == (0, left)
    assert states(store, handle) == [TrialState.RUNNING]


def test_an_enqueued_trial_bound_but_not_started_is_started(store: Store) -> None:
    handle = create_study(store, next(NAMES), 1, "{}", enqueue=[{"x": 0.5}])
    waiting = store.rdb.get_all_trials(handle.study_id)[0]._trial_id
    lease_writes.bind_trial(store, take(store, handle, seconds=0.0), waiting)
    _, lease, trial = bound(store, handle)
    assert (lease.trial_id, trial.suggest_float("x", 0, 1)) == (waiting, 0.5)
    assert states(store, handle) == [TrialState.RUNNING]


def test_an_enqueued_trial_that_others_pop_at_the_same_moment_is_left_to_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = create_study(store, next(NAMES), 1, "{}", enqueue=[{"x": 0.5}])
    theirs: list[int] = []

    def bind_then_they_ask(store: Store, lease: Lease, trial_id: int) -> Lease:
        lease = bind_trial(store, lease, trial_id)
        if not theirs:
            theirs.append(optuna_study(store, handle).ask().number)
        return lease

    bind_trial = lease_writes.bind_trial
    monkeypatch.setattr(lease_writes, "bind_trial", bind_then_they_ask)
    _, lease, trial = bound(store, handle)
    assert (theirs, trial.number) == ([0], 1)
    assert budget.rows(store, handle.study_id)[0].trial_id == lease.trial_id
    assert external_trials(store, handle).external == [0]


def test_running_trials_of_others_are_left_alone_and_do_not_count(store: Store, handle: StudyHandle) -> None:
    theirs = optuna_study(store, handle).ask()
    numbers = [bound(store, handle)[2].number for _ in range(4)]
    assert theirs.number not in numbers
    assert outcomes.repair(store, optuna_study(store, handle)) == outcomes.RepairResult(0, 0)
    assert states(store, handle)[theirs.number] is TrialState.RUNNING
    assert external_trials(store, handle).external == [theirs.number]


def test_a_trial_whose_slot_has_another_one_ends_as_failed(store: Store, handle: StudyHandle) -> None:
    study, lease, _ = bound(store, handle)
    orphan = made_for(store, handle, slot=0)
    pending = made_for(store, handle, slot=1)
    assert outcomes.repair(store, study) == outcomes.RepairResult(ended=0, orphans=1)
    assert store.rdb.get_trial(orphan).state is TrialState.FAIL
    assert store.rdb.get_trial(pending).state is TrialState.RUNNING
    assert store.rdb.get_trial(trial_binding.trial_id(lease)).state is TrialState.RUNNING


@pytest.mark.parametrize(
    ("outcome", "value", "state", "told"),
    [
        ("complete", 5.0, TrialState.COMPLETE, 5.0),
        ("pruned", 2.0, TrialState.PRUNED, 2.0),
        ("diverged", 2.0, TrialState.PRUNED, 2.0),
        ("failed", None, TrialState.FAIL, None),
    ],
)
@pytest.mark.parametrize("crash", [False, True])
def test_optuna_learns_each_outcome_even_if_the_worker_died_before_telling(
    store: Store,
    handle: StudyHandle,
    outcome: str,
    value: float | None,
    state: TrialState,
    told: float,
    crash: bool,
) -> None:
    study, lease, trial = bound(store, handle)
    outcomes.report(store, lease, trial, 10, 1.0)
    outcomes.report(store, lease, trial, 20, 2.0)
    if crash:
        lease_writes.finish(store, lease, outcome, value)
        assert states(store, handle) == [TrialState.RUNNING]
        assert outcomes.repair(store, study).ended == 1
    else:
        outcomes.finish(store, study, lease, outcome, value, "why")
        assert budget.rows(store, handle.study_id)[0].reason == "why"
    assert outcomes.repair(store, study) == outcomes.RepairResult(0, 0)
    done = store.rdb.get_trial(trial_binding.trial_id(lease))
    assert (done.state, done.value) == (state, told)


def test_a_slot_given_up_before_its_enqueued_trial_started_fails_that_trial(store: Store) -> None:
    handle = create_study(store, next(NAMES), 1, "{}", enqueue=[{"x": 0.5}])
    waiting = store.rdb.get_all_trials(handle.study_id)[0]._trial_id
    lease_writes.bind_trial(store, take(store, handle, seconds=0.0), waiting)
    assert claim(store, handle.study_id, Claimant("me", max_attempts=1)) is None
    assert outcomes.repair(store, optuna_study(store, handle)).ended == 1
    assert states(store, handle) == [TrialState.FAIL]


def test_a_trial_that_raises_keeps_its_number_until_the_last_attempt(
    store: Store, handle: StudyHandle
) -> None:
    study, lease, trial = bound(store, handle)
    assert outcomes.fail(store, study, lease, "CUDA out of memory", max_attempts=2) is None
    study, lease, again = bound(store, handle)
    assert again.number == trial.number
    ended = outcomes.fail(store, study, lease, "CUDA out of memory", max_attempts=2)
    assert ended is not None
    assert ended.outcome == "failed"
    assert states(store, handle) == [TrialState.FAIL]


def test_a_trial_ended_by_hand_in_optuna_ends_its_slot(store: Store, handle: StudyHandle) -> None:
    study, _, trial = bound(store, handle, seconds=0.0)
    study.tell(trial.number, state=TrialState.FAIL)
    with pytest.raises(TrialEnded, match=r"trial 0 of slot 0 was ended in Optuna \(FAIL\)"):
        bound(store, handle)
    slot = budget.rows(store, handle.study_id)[0]
    assert (slot.state, slot.outcome, slot.reason) == ("failed", "failed", "its trial was ended in Optuna")


def test_a_retried_slot_gets_a_new_trial_with_the_same_parameters(store: Store, handle: StudyHandle) -> None:
    study, lease, trial = bound(store, handle)
    x = trial.suggest_float("x", 0, 1)
    lease_writes.bind_run(store, lease, "run")
    lease_writes.finish(store, lease, "failed", reason="disk full")
    optuna_study(store, handle).enqueue_trial({"x": 0.123})
    assert [row.number for row in outcomes.retry(store, study)] == [0]
    assert outcomes.retry(store, study) == []
    study, lease, again = bound(store, handle)
    assert (lease.number, lease.attempt, lease.checkpoints, lease.mlflow_run_id) == (0, 1, (), None)
    assert again.suggest_float("x", 0, 1) == x
    assert again.user_attrs[RETRY_OF] == trial.number
    assert states(store, handle) == [TrialState.FAIL, TrialState.WAITING, TrialState.RUNNING]
    assert external_trials(store, handle) == ExternalTrials(waiting=[1], external=[]), (
        "the failed one was a slot's"
    )


def test_only_the_named_failed_slots_are_retried(store: Store, handle: StudyHandle) -> None:
    for _ in range(3):
        study, lease, _ = bound(store, handle)
        outcomes.finish(store, study, lease, "failed" if lease.number else "complete", 1.0)
    assert [row.number for row in outcomes.retry(store, study, [0, 2])] == [2]
    assert [slot.state for slot in budget.rows(store, handle.study_id)] == ["done", "failed", "open", "open"]


def test_the_same_history_and_slot_give_the_same_proposal(store: Store) -> None:
    proposals = []
    for _ in range(2):
        handle = create_study(store, next(NAMES), 2, "{}")
        proposals.append([bound(store, handle)[2].suggest_float("x", 0, 1) for _ in range(2)])
    assert proposals[0] == proposals[1]
    assert len(set(proposals[0])) == 2
