"""Moving a study: everything arrives, the old place is closed, and what was half-trained goes on in the new one."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from search.errors import SpecConflict
from search.history import attempts, evaluations
from search.history.evaluations import CurvePoint
from search.slots import budget, lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim, read_desired_state
from search.slots.lease import CheckpointRef
from search.slots.studies import StudyHandle, create_study, open_study, optuna_study
from search.steering import move
from search.storage.store import Store, open_storage


def half_done(store: Store) -> StudyHandle:
    """A study with a complete, a half-trained, a failed and an open slot, and an enqueued trial."""
    handle = create_study(store, "hopper", 4, "{}", enqueue=[{"x": 0.5}])
    study = optuna_study(store, handle)
    for number in range(3):
        lease = claim(store, handle.study_id, Claimant("worker", 60.0))
        assert lease is not None
        lease, trial = trial_binding.bind(store, study, lease)
        trial.suggest_float("x", 0.0, 1.0)
        outcomes.report(store, lease, trial, 10, float(number))
        measured = CurvePoint(lease.trial_id or 0, number, 10, [1.5, 2.5], 3.5)
        lease_writes.record_evaluations(store, lease, [measured])
        if number == 0:
            lease_writes.publish(store, outcomes.finish(store, study, lease, "complete", 7.0))
        elif number == 2:
            lease = lease_writes.record_checkpoint(
                store, lease, CheckpointRef(10, "lease-1/a", "sha", "here", "runs:/r/c")
            )
            lease_writes.release(store, lease_writes.bind_run(store, lease, "run-1"))
        else:
            failed = outcomes.fail(store, study, lease, "out of memory", max_attempts=1)
            assert failed is not None
            lease_writes.publish(store, failed)
    study.enqueue_trial({"x": 0.25})
    return handle


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_trials_slots_and_control_arrive_as_they_were(kind: str, new_url: Callable[[str], str]) -> None:
    with open_storage(new_url("sqlite"), create=True) as old, open_storage(new_url(kind), create=True) as new:
        handle = half_done(old)
        create_study(new, "another", 2, "{}")
        moved = move.move(old, handle, new)
        assert (moved.uid, moved.spec, moved.desired_state) == (handle.uid, handle.spec, "running")
        assert moved.created_at == pytest.approx(handle.created_at, abs=5)
        for before, after in zip(
            optuna_study(old, handle).get_trials(), optuna_study(new, moved).get_trials(), strict=True
        ):
            for name in (
                "number",
                "state",
                "values",
                "params",
                "distributions",
                "intermediate_values",
                "user_attrs",
            ):
                assert getattr(after, name) == getattr(before, name), name
            assert after.system_attrs == before.system_attrs
        rows = list(zip(budget.rows(old, handle.study_id), budget.rows(new, moved.study_id), strict=True))
        for before, after in rows:
            for name in (
                "number",
                "state",
                "outcome",
                "value",
                "reason",
                "checkpoints",
                "mlflow_run_id",
                "published",
            ):
                assert getattr(after, name) == getattr(before, name), name
        assert attempts.read(new, moved.study_id) == attempts.read(old, handle.study_id) != []
        known = {row.trial_id: row.number for row in budget.rows(new, moved.study_id)}
        arrived = [(known[e.trial_id], e.seed, e.returns) for e in evaluations.read(new, moved.study_id)]
        assert arrived == [(number, number, [1.5, 2.5]) for number in range(3)]
        assert claim(old, handle.study_id, Claimant("worker", 60.0)) is None
        lease = claim(new, moved.study_id, Claimant("worker", 60.0))
        assert lease is not None
        assert (lease.number, lease.checkpoints[0].step) == (2, 10)
        lease, trial = trial_binding.bind(new, optuna_study(new, moved), lease)
        assert trial.number == 2
        with pytest.raises(SpecConflict, match="was moved from"):
            move.move(old, open_study(old, "hopper"), new)


def test_it_is_refused_while_a_worker_is_at_it(new_url: Callable[[str], str]) -> None:
    with (
        open_storage(new_url("sqlite"), create=True) as old,
        open_storage(new_url("sqlite"), create=True) as new,
    ):
        handle = half_done(old)
        assert claim(old, handle.study_id, Claimant("laptop:7", 60.0)) is not None
        with pytest.raises(SpecConflict, match=r"laptop:7.* free in (60|5\d) s"):
            move.move(old, handle, new)
        assert read_desired_state(old, handle.study_id) == "running"


def test_a_study_that_was_moved_can_be_moved_again(new_url: Callable[[str], str]) -> None:
    with (
        open_storage(new_url("sqlite"), create=True) as first,
        open_storage(new_url("sqlite"), create=True) as second,
        open_storage(new_url("sqlite"), create=True) as third,
    ):
        there = move.move(first, half_done(first), second)
        moved = move.move(second, there, third)
        assert len(budget.rows(third, moved.study_id)) == 4


def test_an_interrupted_move_is_done_again(
    new_url: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        open_storage(new_url("sqlite"), create=True) as old,
        open_storage(new_url("sqlite"), create=True) as new,
    ):
        handle = half_done(old)
        with monkeypatch.context() as patch:
            patch.setattr(move, "_write_rows", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                move.move(old, handle, new)
        assert claim(old, handle.study_id, Claimant("worker", 60.0)) is not None, "it goes on where it was"
        budget.set_desired_state(old, handle.study_id, "running")
        for row in budget.rows(old, handle.study_id):
            if row.owner and row.state == "leased":
                with old.write() as connection:
                    connection.exec_driver_sql(
                        f"UPDATE omad_slot SET expires_at = 0 WHERE number = {row.number}"
                    )
        moved = move.move(old, handle, new)
        assert len(budget.rows(new, moved.study_id)) == 4
        assert len(optuna_study(new, moved).get_trials()) == 4


# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_half_trained_trial_goes_on_in_postgresql(
    location: Callable[..., Any],
    work_here: Callable[..., None],
    new_url: Callable[[str], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    study, second = location("study", 1), new_url("postgresql")
    work_here(study, "home", lambda rows: rows[0].progress.get("step", 0) >= 200)
    (before,) = study.rows()
    old, study.store = study.store, open_storage(second, create=True)
    study.handle = move.move(old, study.handle, study.store)
    old.close()
    with caplog.at_level(logging.INFO):
        work_here(study, "home")
    (row,) = study.rows()
    assert (row.outcome, row.published, row.mlflow_run_id) == ("complete", True, before.mlflow_run_id)
    assert f"from step {before.checkpoints[0].step}" in caplog.text
    (curves,) = study.curves().values()
    assert [step for step, _ in curves["eval/return_mean"]] == list(range(100, 701, 100))
