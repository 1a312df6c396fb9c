"""pause, resume, stop, extend, retry: what they change in the storage and what they answer."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search.slots import binding, budget, endings
from search.slots.claim import Claimant, claim, wanted
from search.slots.study import StudyHandle, create_study, optuna_study
from search.spec import catalog
from search.spec.given import Given
from search.storage.store import Store, open_storage

Run = Callable[..., str]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Store, StudyHandle]]:
    """A study `hopper` of three trials."""
    spec = catalog.build(catalog.find("hopper"), Given(numbers={"trials": 3}), has_gpu=False)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        yield store, create_study(store, "hopper", 3, spec.to_json(), [spec.defaults()])


def fail(store: Store, handle: StudyHandle) -> None:
    """One trial that fails for good."""
    lease = claim(store, handle.study_id, Claimant("worker", 60.0))
    assert lease is not None
    study = optuna_study(store, handle)
    lease, _ = binding.bind(store, study, lease)
    endings.fail(store, study, lease, "out of memory", max_attempts=1)


def test_pause_resume_and_stop_are_heard_by_workers(run: Run, opened: tuple[Store, StudyHandle]) -> None:
    store, handle = opened
    for word, heard in (("pause", "paused"), ("resume", "running"), ("stop", "stopping")):
        assert "study hopper" in run(word, "hopper")
        assert wanted(store, handle.study_id) == heard
        assert (claim(store, handle.study_id, Claimant("worker", 60.0)) is not None) == (heard == "running")


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
    budget.set_wanted(store, handle.study_id, "moved")
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
