"""pause, resume, stop, extend, retry: what they change in the storage and what they answer."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ended_trials import end_trials
from sqlalchemy import update

from search.confirmation.creation import ensure
from search.slots import budget, outcomes, trial_binding
from search.slots.claim import Claimant, claim, read_desired_state
from search.slots.studies import StudyHandle, create_study, optuna_study
from search.steering.commands import refuse_idle
from search.storage.store import Store, open_storage
from search.storage.tables import Slot
from search.study import catalog
from search.study.request import StudyRequest

Run = Callable[..., str]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Store, StudyHandle]]:
    """A study `hopper` of three trials."""
    spec = catalog.build(catalog.find("hopper"), StudyRequest(numbers={"trials": 3}), has_gpu=False)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        yield store, create_study(store, "hopper", 3, spec.to_json(), [spec.defaults()])


def fail(store: Store, handle: StudyHandle) -> None:
    """One trial that fails for good."""
    lease = claim(store, handle.study_id, Claimant("worker", 60.0))
    assert lease is not None
    study = optuna_study(store, handle)
    lease, _ = trial_binding.bind(store, study, lease)
    outcomes.fail(store, study, lease, "out of memory", max_attempts=1)


def test_pause_resume_and_stop_are_heard_by_workers(run: Run, opened: tuple[Store, StudyHandle]) -> None:
    store, handle = opened
    for word, heard in (("pause", "paused"), ("resume", "running"), ("stop", "stopping")):
        assert "study hopper" in run(word, "hopper")
        assert read_desired_state(store, handle.study_id) == heard
        assert (claim(store, handle.study_id, Claimant("worker", 60.0)) is not None) == (heard == "running")


@pytest.mark.parametrize("published", [True, False])
def test_an_ended_study_has_nothing_to_pause(
    published: bool, run: Run, opened: tuple[Store, StudyHandle]
) -> None:
    store, handle = opened
    with store.write() as connection:
        connection.execute(update(Slot).values(state="done", outcome="pruned", published=published))
    assert "study hopper has ended: there is nothing to pause" in run("pause", "hopper")
    assert "study hopper has ended" in run("resume", "hopper")
    assert read_desired_state(store, handle.study_id) == "running"
    assert ("there is nothing to stop" in run("stop", "hopper")) == published
    assert read_desired_state(store, handle.study_id) == ("running" if published else "stopping")


def test_a_search_that_ended_with_its_confirmation_not_made_yet_can_be_steered(
    run: Run, opened: tuple[Store, StudyHandle]
) -> None:
    store, handle = opened
    end_trials(store, handle, [1.0, 3.0, 2.0])
    assert "study hopper is paused" in run("pause", "hopper")
    made = ensure(store, handle)
    assert made is not None
    assert read_desired_state(store, made.study_id) == "paused"


@pytest.mark.parametrize(
    ("word", "answer"),
    [("stop", "hopper is stopping"), ("resume", "hopper goes on with its confirmation; `omad-search worker")],
)
def test_what_is_left_of_such_a_one_is_its_confirmation(
    word: str, answer: str, run: Run, opened: tuple[Store, StudyHandle]
) -> None:
    store, handle = opened
    end_trials(store, handle, [1.0, 3.0, 2.0])
    refuse_idle(store, handle)  # workers may be launched for it
    assert answer in run(word, "hopper")


def test_extend_adds_trials_or_reaches_a_number(run: Run, opened: tuple[Store, StudyHandle]) -> None:
    store, handle = opened
    assert "2 trials added, 5 in all" in run("extend", "hopper", "--trials", "+2")
    assert "3 trials added, 8 in all" in run("extend", "hopper", "--trials", "8")
    assert budget.counts(store, handle.study_id).total == 8
    assert "a budget never shrinks" in run("extend", "hopper", "--trials", "7", code=2)
    assert "write +50" in run("extend", "hopper", "--trials", "many", code=2)
    assert budget.counts(store, handle.study_id).total == 8


def test_retry_opens_what_failed_and_nothing_else(run: Run, opened: tuple[Store, StudyHandle]) -> None:
    store, handle = opened
    for _ in range(2):
        fail(store, handle)
    assert "with the parameters of trial 1" in run("retry", "hopper", "--trial", "1")
    assert [row.state for row in budget.rows(store, handle.study_id)] == ["failed", "open", "open"]
    assert "with the parameters of trial 0" in run("retry", "hopper", "--failed")
    assert [row.retry_of is not None for row in budget.rows(store, handle.study_id)] == [True, True, False]
    assert "no trial has failed" in run("retry", "hopper", "--failed")
    assert "has no trial 7" in run("retry", "hopper", "--trial", "7", code=2)
    assert "which trials?" in run("retry", "hopper", code=2)


def test_a_moved_study_says_where_it_is(run: Run, opened: tuple[Store, StudyHandle]) -> None:
    store, handle = opened
    store.rdb.set_study_user_attr(handle.study_id, "omad_moved_to", "postgresql://db/omad")
    budget.set_desired_state(store, handle.study_id, "moved")
    assert claim(store, handle.study_id, Claimant("worker", 60.0)) is None
    for words in (
        ["resume", "hopper"],
        ["extend", "hopper", "--trials", "+1"],
        ["retry", "hopper", "--failed"],
    ):
        assert "was moved from sqlite:///omad.db to postgresql://db/omad" in run(*words, code=2)


def test_status_names_ended_trials_that_nobody_publishes(run: Run, opened: tuple[Store, StudyHandle]) -> None:
    store, handle = opened
    fail(store, handle)
    assert "not in MLflow yet" not in run("status", "hopper"), "its worker is at it"
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE omad_slot SET expires_at = 0 WHERE number = 0")
    assert "not in MLflow yet: trial 0; `omad-search sync hopper`" in run("status", "hopper")


Pair = tuple[Store, StudyHandle, StudyHandle]


@pytest.fixture
def confirming(opened: tuple[Store, StudyHandle]) -> Pair:
    """The study, which has ended, and its confirmation, of which nothing has."""
    store, handle = opened
    end_trials(store, handle, [10.0, 30.0, 20.0])
    found = ensure(store, handle)
    assert found is not None
    return store, handle, found


@pytest.mark.parametrize("name", ["hopper", "hopper-confirm"])
def test_a_search_and_its_confirmation_are_steered_as_one_by_either_name(
    run: Run, confirming: Pair, name: str
) -> None:
    store, *both = confirming
    for word, heard, told in (
        ("pause", "paused", "is paused"),
        ("resume", "running", "goes on, 6 of 9 trials left"),
        ("stop", "stopping", "is stopping"),
        ("resume", "running", "goes on"),
    ):
        assert told in run(word, name)
        assert [read_desired_state(store, each.study_id) for each in both] == [heard, heard]
    end_trials(store, both[1], [1.0] * 6)
    for word in ("pause", "stop"):
        assert f"there is nothing to {word}" in run(word, name)
    assert "has ended" in run("resume", name)


def test_a_search_is_extended_while_it_is_confirmed_and_a_confirmation_is_not(
    run: Run, confirming: Pair
) -> None:
    store, search, found = confirming
    assert "name 'hopper' instead" in run("extend", "hopper-confirm", "--trials", "+1", code=2)
    assert "1 trial added, 4 in all" in run("extend", "hopper", "--trials", "+1")
    assert [budget.counts(store, each.study_id).total for each in (search, found)] == [4, 6]


def test_a_held_out_training_that_failed_is_tried_again_by_its_studys_name(
    run: Run, confirming: Pair
) -> None:
    store, _, found = confirming
    end_trials(store, found, [("failed", None), 1.0, 2.0, 3.0, 4.0, 5.0])
    assert "`omad-search retry hopper-confirm --failed` tries again" in " ".join(
        run("status", "hopper").split()
    )
    assert "will try again with the parameters of trial 0" in run("retry", "hopper-confirm", "--failed")
    assert budget.counts(store, found.study_id).ended is False
    assert "no trial has failed" in run("retry", "hopper", "--failed")
