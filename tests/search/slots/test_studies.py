"""Studies: created once with their spec, joined by everybody else, plain Optuna studies throughout."""

import itertools
import threading

import optuna
import pytest
from optuna.trial import TrialState

from search.errors import SpecConflict, StudyNotFound
from search.slots import budget
from search.slots.outsiders import outsiders
from search.slots.study import StudyHandle, create_study, list_studies, open_study, optuna_study
from search.storage.store import Store

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


def test_creation_that_was_interrupted_is_completed_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(NAMES)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("search.slots.study._write_rows", interrupted)
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
    seen = outsiders(store, handle)
    assert seen.waiting == [0]
    assert seen.external == [1, store.rdb.get_trial(theirs).number]
