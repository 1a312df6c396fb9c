"""A worker that ends at any of its writes, to databases and files: the next one repairs, nothing is lost or doubled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from search.slots import budget
from search.slots.studies import open_study
from search.storage.store import open_storage
from tracking.mlflow.tracker import MlflowTracker

LIVES = Path(__file__).with_name("lives.py")
ROOT = LIVES.parents[2]
Curves = dict[str, list[tuple[int, float]]]

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def lives(folder: Path, empty: Path, first: int, every: int) -> list[Path]:
    """Folders of interrupted and rescued lives; the last one is of a life that was not interrupted."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(LIVES), str(folder), str(empty), str(first), str(every)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    told = [line.split() for line in done.stdout.splitlines()]
    logs = {number: (folder / number / "log").read_text() for number, _, _ in told}
    assert all(rescue == "0" for _, _, rescue in told), logs
    return [folder / number for number, _, _ in told]


def slot(folder: Path) -> tuple[object, ...]:
    """What the storage has of the study's one slot and its trial."""
    with open_storage(f"sqlite:///{folder}/omad.db") as store:
        handle = open_study(store, "hopper")
        (row,) = budget.rows(store, handle.study_id)
        done = [t for t in store.rdb.get_all_trials(handle.study_id) if t.state is TrialState.COMPLETE]
        (trial,) = done
        assert row.trial_id == trial._trial_id
        assert row.value == trial.value
        return row.state, row.outcome, row.published, row.value, trial.intermediate_values


def confirmation(folder: Path) -> list[tuple[object, ...]]:
    """What the storage has of the confirmation: a slot a held-out seed, each ended once."""
    with open_storage(f"sqlite:///{folder}/omad.db") as store:
        handle = open_study(store, "hopper-confirm")
        rows = budget.rows(store, handle.study_id)
        trials = {trial._trial_id: trial for trial in store.rdb.get_all_trials(handle.study_id)}
        bound = [trials[row.trial_id] for row in rows if row.trial_id is not None]
        assert not [t for t in trials.values() if t.state in (TrialState.RUNNING, TrialState.WAITING)]
        return sorted(
            (t.params["seed"], r.outcome, r.published, r.value, str(t.intermediate_values))
            for r, t in zip(rows, bound, strict=True)
        )


def curves(folder: Path) -> Curves:
    """The curves of the trial's run, clocks left out, after a look at the run, its model and the champion."""
    address = f"sqlite:///{folder}/mlflow.db"
    client = MlflowClient(address)
    (experiment,) = [e for e in client.search_experiments() if e.name == "hopper"]
    runs = client.search_runs([experiment.experiment_id])
    trials = [run for run in runs if "omad.slot" in run.data.tags]
    (run,) = [run for run in trials if run.data.tags["omad.kind"] == "search"]
    assert {each.info.status for each in trials} == {"FINISHED"}
    assert (len(runs), len(trials)) == (5, 3), "one of each study, one of each of their trials"
    held_out = [each for each in trials if each is not run]
    assert {each.info.run_name for each in held_out} == {"trial 0, held-out 0", "trial 0, held-out 1"}
    (parent,) = {each.data.tags["mlflow.parentRunId"] for each in held_out}
    above = client.get_run(parent).data.tags
    assert above["omad.kind"] == "confirmation"
    assert above["mlflow.parentRunId"] == run.data.tags["mlflow.parentRunId"]
    assert len(client.search_logged_models([experiment.experiment_id])) == 3
    uri = MlflowTracker(address).model_of(run.info.run_id)
    champion = client.get_model_version_by_alias("omad-hopper", "champion")
    assert (champion.run_id, str(champion.version)) == (run.info.run_id, "1")
    assert uri is not None
    assert uri.removeprefix("models:/") in (champion.source or "")
    names = [name for name in run.data.metrics if not name.startswith(("time/", "system/", "score"))]
    history = {name: client.get_metric_history(run.info.run_id, name) for name in names}
    return {name: [(point.step, point.value) for point in points] for name, points in history.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("first", "every"), [(110, 180), (1, 7)])
def test_a_worker_that_ends_at_any_write_leaves_nothing_undone(
    tmp_path: Path, empty_mlflow: Path, first: int, every: int
) -> None:
    *interrupted, calm = lives(tmp_path, empty_mlflow, first, every)
    assert len(interrupted) >= 3
    expected = slot(calm), confirmation(calm), curves(calm)
    assert [each[:3] for each in expected[1]] == [(0, "complete", True), (1, "complete", True)]
    assert expected[0][:3] == ("done", "complete", True)
    for folder in interrupted:
        assert (slot(folder), confirmation(folder), curves(folder)) == expected, folder.name
        assert not list((folder / "home").rglob("*.safetensors")), folder.name
