"""Moving a study's records: from a file to a server, runs, curves, checkpoints, models and champion."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from cli.main import main
from search.slots import budget
from search.slots.claim import Claimant, claim, read_desired_state
from search.slots.studies import open_study, optuna_study
from search.steering import move
from search.storage.store import open_storage
from tracking.mlflow.copy import study as mlflow_copy_study
from tracking.mlflow.tracker import MlflowTracker

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def runs_of(address: str, name: str) -> dict[str, Run]:
    """Runs by trial; the study's own under an empty name."""
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == len({run.data.tags.get("omad.trial", "") for run in runs})
    return {run.data.tags.get("omad.trial", ""): run for run in runs}


def history(address: str, run: Run) -> dict[str, list[tuple[int, float, int]]]:
    client = MlflowClient(address)
    return {
        name: sorted((p.step, p.value, p.timestamp) for p in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
    }


def artifacts(address: str, run: Run, folder: Path) -> dict[str, bytes]:
    found = Path(
        mlflow.artifacts.download_artifacts(
            run_id=run.info.run_id, dst_path=str(folder), tracking_uri=address
        )
    )
    return {f.relative_to(found).as_posix(): f.read_bytes() for f in found.rglob("*") if f.is_file()}


@pytest.mark.slow
def test_everything_goes_with_a_study_to_another_tracking_server(
    location: Callable[..., Any],
    work_here: Callable[..., None],
    tracking_server: Any,
    undisturbed: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = location("study", 2, study_name="moves")
    old, new = study.tracking, tracking_server.address
    work_here(study, "home", lambda rows: rows[1].checkpoints and rows[1].checkpoints[0].uri)
    done, half = study.rows()
    assert (done.published, half.outcome) == (True, None)
    words = ["move", "moves", "--storage", study.storage, "--tracking", new, "--from-tracking", old]
    with monkeypatch.context() as patch:
        patch.setattr(
            mlflow_copy_study, "copy_registered", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(SystemExit, match=r"^130$"):
            main(words)
    assert study.rows()[1].mlflow_run_id == half.mlflow_run_id, "nothing is changed by half a move"
    assert read_desired_state(study.store, study.handle.study_id) == "running"
    to = f"sqlite:///{tmp_path}/moved.db"
    with pytest.raises(SystemExit, match=r"^0$"):
        main([*words, "--to", to])
    assert "1 of 2 trials ended, 1 half-trained" in capsys.readouterr().out
    before, after = runs_of(old, "moves"), runs_of(new, "moves")
    assert before.keys() == after.keys() == {"", "0", "1"}
    for trial, run in before.items():
        copy = after[trial]
        assert copy.info.status == run.info.status
        assert (copy.info.start_time, copy.info.end_time) == (run.info.start_time, run.info.end_time)
        assert copy.data.params == run.data.params
        assert history(new, copy) == history(old, run)
        assert artifacts(new, copy, tmp_path / f"new{trial}") == artifacts(old, run, tmp_path / f"old{trial}")
    assert after["1"].data.tags["mlflow.parentRunId"] == after[""].info.run_id
    shutil.rmtree(study.folder / "mlruns")
    study.store.close()
    study.store = open_storage(to)
    study.handle = open_study(study.store, "moves")
    study.tracking = new
    work_here(study, "elsewhere")
    finished = study.curves()
    for row, trial in zip(study.rows(), optuna_study(study.store, study.handle).get_trials(), strict=True):
        assert (row.outcome, row.published) == ("complete", True)
        expected = undisturbed(study.spec, trial).returns
        assert finished[str(trial.number)]["eval/return_mean"] == list(expected.items())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    address = MlflowTracker(new).model_of(str(study.rows()[0].mlflow_run_id))
    assert study.rows()[0].model_uri == address
    for uri in (str(address), "models:/omad-moves@champion"):
        model = mlflow.pyfunc.load_model(uri)
        assert model.predict(np.zeros((2, 25), np.float32)).shape == (2, 3)
    assert runs_of(new, "moves")["0"].data.tags["omad.model"] == address


def test_it_is_refused_where_the_runs_are_not_or_workers_are(
    location: Callable[..., Any], tmp_path: Path, empty_mlflow: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = location("study", 2)
    other, third = (f"sqlite:///{tmp_path}/{name}.db" for name in ("other", "third"))
    shutil.copy(empty_mlflow, tmp_path / "other.db")
    shutil.copy(empty_mlflow, tmp_path / "third.db")
    lease = claim(study.store, study.handle.study_id, Claimant("laptop:7", 60.0))
    assert lease is not None

    def refused(*words: str, code: int = 1) -> str:
        with pytest.raises(SystemExit, match=str(code)):
            main(["move", "hopper", "--storage", study.storage, *words])
        assert read_desired_state(study.store, study.handle.study_id) == "running"
        return capsys.readouterr().err

    assert "laptop:7" in refused("--tracking", other, "--from-tracking", study.tracking, code=2)
    with study.store.write() as connection:
        connection.exec_driver_sql(
            "UPDATE omad_slot SET expires_at = 0, mlflow_run_id = 'lost' WHERE number = 0"
        )
    assert "give the tracking address that the study uses now" in refused(
        "--tracking", other, "--from-tracking", third
    )
    assert "already" in refused("--tracking", third, "--from-tracking", third)
    assert "where to?" in refused(code=2)


def test_runs_alone_are_readdressed_and_old_leases_fenced(location: Callable[..., Any]) -> None:
    study = location("study", 1)
    lease = claim(study.store, study.handle.study_id, Claimant("gone", 0.0))
    assert lease is not None
    with study.store.write() as connection:
        connection.exec_driver_sql("UPDATE omad_slot SET mlflow_run_id = 'old'")
        connection.exec_driver_sql(
            """UPDATE omad_slot SET progress = '{"model": "models:/m-old", "step": 7}'"""
        )
    move.move_runs(study.store, [study.handle], lambda: {"old": "new", "m-old": "m-new"})
    (row,) = budget.rows(study.store, study.handle.study_id)
    assert (row.mlflow_run_id, row.token) == ("new", lease.token + 1)
    assert (row.model_uri, row.progress["step"]) == ("models:/m-new", 7)
