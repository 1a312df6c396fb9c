"""Studies: created once with their spec, joined by everybody else, plain Optuna studies throughout."""

import itertools
import re
import threading

import optuna
import pytest
from optuna.trial import TrialState

from search.errors import SpecConflict, StudyDeleted, StudyNotFound
from search.history import attempts, evaluations
from search.history.evaluations import CurvePoint
from search.slots import budget, lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.studies import (
    StudyHandle,
    create_study,
    delete_study,
    list_studies,
    open_study,
    optuna_study,
    refuse_deleted,
)
from search.storage.store import Store
from search.view.external_trials import external_trials

NAMES = (f"study-{n}" for n in itertools.count())
START = [{"lr": 3e-4, "mode": "learned"}, {"lr": 1e-3}]


def test_whoever_comes_later_joins_with_the_stored_spec_and_budget(store: Store) -> None:
    name = next(NAMES)
    first = create_study(store, name, trials=3, spec='{"env_steps": 1000}', enqueue=START)
    later = create_study(store, name, trials=9, spec='{"env_steps": 5}', enqueue=[{"lr": 9.0}])
    assert later == first == open_study(store, name)
    assert first.spec == '{"env_steps": 1000}'
    assert budget.counts(store, first.study_id).total == 3
    trials = optuna_study(store, first).get_trials()
    assert [trial.system_attrs["fixed_params"] for trial in trials] == START


def test_it_is_a_plain_optuna_study_that_maximizes(store: Store) -> None:
    handle = create_study(store, next(NAMES), trials=1, spec="{}")
    study = optuna.load_study(study_name=handle.name, storage=store.rdb)
    assert study.direction is optuna.study.StudyDirection.MAXIMIZE
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert len(study.trials) == 2


def test_an_unknown_study_is_answered_with_the_nearest_name(store: Store) -> None:
    create_study(store, "walker-evening", trials=1, spec="{}")
    with pytest.raises(StudyNotFound, match=r"has no study 'walkr-evening'; did you mean 'walker-evening'\?"):
        open_study(store, "walkr-evening")


def test_an_optuna_study_of_another_kind_is_refused(store: Store) -> None:
    name = next(NAMES)
    optuna.create_study(study_name=name, storage=store.rdb, direction="minimize")
    with pytest.raises(SpecConflict, match="minimize"):
        create_study(store, name, trials=1, spec="{}")


def test_the_rows_of_a_deleted_study_do_not_come_back(store: Store) -> None:
    name = next(NAMES)
    old = create_study(store, name, trials=5, spec='{"old": 1}')
    optuna.delete_study(study_name=name, storage=store.rdb)
    assert name not in [handle.name for handle in list_studies(store)]
    with pytest.raises(StudyNotFound):
        open_study(store, name)
    new = create_study(store, name, trials=2, spec='{"new": 1}')
    assert (new.spec, new.uid == old.uid) == ('{"new": 1}', False)
    assert budget.counts(store, new.study_id).total == 2


def worked_at(store: Store, handle: StudyHandle, value: float) -> None:
    """Claim a slot, bind a trial, measure something."""
    lease = claim(store, handle.study_id, Claimant("here:1"))
    assert lease is not None
    lease, _ = trial_binding.bind(store, optuna_study(store, handle), lease)
    point = CurvePoint(trial_binding.trial_id(lease), 0, 100, [value], 1.0)
    lease_writes.record_evaluations(store, lease, [point])
    assert evaluations.read(store, handle.study_id) == [point]
    assert [attempt.token for attempt in attempts.read(store, handle.study_id)] == [lease.token]


@pytest.mark.parametrize("same_name", [True, False])
def test_a_study_under_the_ids_of_a_deleted_one_is_worked_at_like_any_other(
    store: Store, same_name: bool
) -> None:
    """SQLite gives the ids of a study and of its trials again."""
    name = next(NAMES)
    worked_at(store, create_study(store, name, trials=1, spec="{}"), 1.0)
    optuna.delete_study(study_name=name, storage=store.rdb)
    worked_at(store, create_study(store, name if same_name else next(NAMES), trials=1, spec="{}"), 2.0)


def test_a_study_whose_new_trials_have_the_ids_of_a_deleted_ones_is_worked_at_like_any_other(
    store: Store,
) -> None:
    elder = create_study(store, next(NAMES), trials=1, spec="{}")
    name = next(NAMES)
    worked_at(store, create_study(store, name, trials=1, spec="{}"), 1.0)
    optuna.delete_study(study_name=name, storage=store.rdb)
    worked_at(store, elder, 2.0)


@pytest.mark.parametrize("way", ["ours", "optuna's"])
def test_a_study_that_is_deleted_under_a_worker_is_one_sentence(store: Store, way: str) -> None:
    handle = create_study(store, next(NAMES), trials=1, spec="{}")
    lease = claim(store, handle.study_id, Claimant("here:1"))
    assert lease is not None
    study = optuna_study(store, handle)
    lease, trial = trial_binding.bind(store, study, lease)
    if way == "ours":
        delete_study(store, handle)
    else:
        optuna.delete_study(study_name=handle.name, storage=store.rdb)
    sentence = f"the study was deleted from storage {re.escape(store.address)}"
    with pytest.raises(StudyDeleted, match=sentence), store.guard():
        trial.report(1.0, step=1)
    with pytest.raises(StudyDeleted, match=sentence):
        outcomes.finish(store, study, lease, "complete", 1.0)
    with pytest.raises(StudyDeleted, match=f"study '{handle.name}' was deleted"):
        refuse_deleted(store, handle)
    create_study(store, handle.name, trials=1, spec="{}")
    with pytest.raises(StudyDeleted, match=f"study '{handle.name}' was deleted"):
        refuse_deleted(store, handle)


def test_creation_that_was_interrupted_is_completed_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(NAMES)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("search.slots.studies._write_rows", interrupted)
        with pytest.raises(KeyboardInterrupt):
            create_study(store, name, trials=3, spec="{}", enqueue=START)
    with pytest.raises(StudyNotFound):
        open_study(store, name)
    handle = create_study(store, name, trials=3, spec="{}", enqueue=START)
    assert len(optuna_study(store, handle).get_trials()) == len(START)
    assert budget.counts(store, handle.study_id).total == 3


def test_threads_that_create_it_at_once_get_one_study(store: Store) -> None:
    name, handles = next(NAMES), []
    gate = threading.Barrier(8)

    def create() -> None:
        gate.wait()
        handles.append(create_study(store, name, trials=3, spec="{}", enqueue=START))

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(handles) == 8
    assert len(set(handles)) == 1
    assert len(optuna_study(store, handles[0]).get_trials()) == len(START)


def test_a_spec_of_any_length_is_kept(store: Store) -> None:
    spec = '{"text": "' + "é" * 100_000 + '"}'
    name = next(NAMES)
    create_study(store, name, trials=1, spec=spec)
    assert open_study(store, name).spec == spec


def test_trials_of_others_are_told_apart(store: Store, handle: StudyHandle) -> None:
    study = optuna_study(store, handle)
    study.enqueue_trial({"x": 1.0})
    study.add_trial(optuna.create_trial(value=3.0))
    theirs = store.optuna.create_new_trial(handle.study_id, optuna.create_trial(state=TrialState.RUNNING))
    seen = external_trials(store, handle)
    assert seen.waiting == [0]
    assert seen.external == [1, store.rdb.get_trial(theirs).number]
