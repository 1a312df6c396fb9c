"""Sixteen workers at once, from an empty database on: the budget is exact."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from search.slots import budget
from search.slots.studies import open_study, optuna_study
from search.storage.store import open_storage

FLEET = Path(__file__).with_name("fleet.py")
ROOT = FLEET.parents[2]


def _run(url: str, *options: str) -> dict[str, list[int]]:
    """The slots each worker finished."""
    done = subprocess.run(
        [sys.executable, FLEET, url, *options],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [text for one in reports for text in one["failed"]]
    assert not failed, "\n".join(failed)
    assert (done.returncode, done.stderr) == (0, "")
    return {owner: numbers for one in reports for owner, numbers in one["done"].items()}


def _check_exact(url: str, trials: int, done: dict[str, list[int]]) -> None:
    assert sorted(number for numbers in done.values() for number in numbers) == list(range(trials))
    with open_storage(url) as store:
        handle = open_study(store, "fleet")
        slots = budget.rows(store, handle.study_id)
        ran = optuna_study(store, handle).get_trials()
    assert [slot.state for slot in slots] == ["done"] * trials
    assert all(slot.published and slot.outcome == "complete" for slot in slots)
    assert sorted(slot.trial_id for slot in slots) == sorted(trial._trial_id for trial in ran)
    assert {trial.state for trial in ran} == {TrialState.COMPLETE}
    assert sorted(trial.number for trial in ran) == list(range(trials))
    assert all(trial.value == trial.params["x"] for trial in ran)
    assert len({trial.params["x"] for trial in ran}) == trials
    assert all(list(trial.intermediate_values) == [1, 2] for trial in ran)
    assert ran[0].params == {"x": 0.5}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_sixteen_workers_on_an_empty_database_run_exactly_the_budget(
    kind: str, new_url: Callable[[str], str]
) -> None:
    url = new_url(kind)
    done = _run(url, "--trials", "60", "--processes", "4", "--threads", "4")
    assert len(done) == 16
    _check_exact(url, 60, done)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_sixteen_processes_run_exactly_a_hundred_trials(kind: str, new_url: Callable[[str], str]) -> None:
    url = new_url(kind)
    patience = ["--patience", "60"] if kind == "mariadb" else []  # it ends one of two transactions that cross
    done = _run(url, "--trials", "100", "--processes", "16", "--threads", "1", *patience)
    assert len(done) == 16
    _check_exact(url, 100, done)
