"""Artifacts of an SQLite store move along with its database, although that holds their absolute paths."""

import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from tracking.errors import ArtifactMissing, TrackingRefused
from tracking.mlflow.tracker import MlflowTracker
from tracking.tracker import ModelFiles, RunInfo

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

Files = Callable[..., ModelFiles]


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowTracker(f"sqlite:///{file}").check()
    return file


@pytest.fixture
def recorded(tmp_path: Path, empty_database: Path, model_files: Files) -> tuple[Path, str, str]:
    """A folder with a database, a run's artifact, a model and a champion; the run, and the model's address."""
    folder = tmp_path / "old place"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    tracker = MlflowTracker(f"sqlite:///{folder}/mlflow.db")
    run_id = tracker.open_run(RunInfo("trial 0", "moving", slot=0, documents={"config.json": {"gamma": 1}}))
    (model_files().folder / "policy.json").write_text("{}")
    uri = tracker.publish_model(run_id, "trial-0", model_files())
    tracker.register_champion(uri, "omad-moving", "a card")
    return folder, run_id, uri


def _written(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("way", ["move", "copy"])
def test_a_folder_elsewhere_is_read_and_written_where_it_is(
    recorded: tuple[Path, str, str], tmp_path: Path, model_files: Files, way: str
) -> None:
    old, run_id, _ = recorded
    new = tmp_path / "new place"
    old.rename(new) if way == "move" else shutil.copytree(old, new)
    before = _written(old)
    tracker = MlflowTracker(f"sqlite:///{new}/mlflow.db")
    assert tracker.download_model("models:/omad-moving@champion", tmp_path / "fetched").is_dir()
    tracker.download(run_id, "config.json", tmp_path / "config.json")
    (tmp_path / "more").write_bytes(b"more")
    tracker.upload(run_id, {"more": tmp_path / "more"})
    other = tracker.open_run(RunInfo("trial 1", "moving", slot=1, documents={"config.json": {}}))
    tracker.register_champion(tracker.publish_model(other, "trial-1", model_files()), "omad-moving", "better")
    assert _written(old) == before
    assert next(new.rglob("more")).read_bytes() == b"more"
    assert len(list(new.rglob("config.json"))) == 2
    assert len(list(new.rglob("MLmodel"))) == 2


@pytest.mark.parametrize("way", ["move", "copy"])
def test_plain_mlflow_finds_everything_once_a_study_is_opened_there(
    recorded: tuple[Path, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    old, run_id, _ = recorded
    new = tmp_path / "100% new, später"
    old.rename(new) if way == "move" else shutil.copytree(old, new)
    tracker = MlflowTracker(f"sqlite:///{str(new).replace('%', '%25')}/mlflow.db")
    tracker.check()
    client = MlflowClient(tracker.address)
    experiment = client.get_experiment_by_name("moving")
    assert experiment.artifact_location == (new / "mlruns" / "moving").as_uri()
    assert [entry.path for entry in client.list_artifacts(run_id)] == ["config.json"]
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    if way == "move":
        mlflow.set_tracking_uri(tracker.address)
        try:
            model = mlflow.pyfunc.load_model("models:/omad-moving@champion")
        finally:
            mlflow.set_tracking_uri(None)
        ones = np.ones((2, 3, 4), np.float32)
        np.testing.assert_array_equal(model.predict(ones), 2 * ones)


def test_experiments_of_others_stay_where_they_are(recorded: tuple[Path, str, str], tmp_path: Path) -> None:
    old, _, _ = recorded
    mine = (tmp_path / "elsewhere" / "mlruns" / "7").as_uri()
    MlflowClient(f"sqlite:///{old}/mlflow.db").create_experiment("mine", artifact_location=mine)
    new = old.rename(tmp_path / "new")
    MlflowTracker(f"sqlite:///{new}/mlflow.db").check()
    client = MlflowClient(f"sqlite:///{new}/mlflow.db")
    assert client.get_experiment_by_name("mine").artifact_location == mine
    assert client.get_experiment_by_name("moving").artifact_location == (new / "mlruns" / "moving").as_uri()


def test_a_database_without_its_artifacts_is_refused_before_anything_is_written(
    recorded: tuple[Path, str, str], tmp_path: Path
) -> None:
    old, _, _ = recorded
    (tmp_path / "new").mkdir()
    (old / "mlflow.db").rename(tmp_path / "new" / "mlflow.db")
    before, tracker = _written(tmp_path), MlflowTracker(f"sqlite:///{tmp_path}/new/mlflow.db")
    tracker.check()
    told = rf"they lie in {old}/mlruns/moving\. Move or copy that folder to {tmp_path}/new/mlruns/moving"
    with pytest.raises(TrackingRefused, match=told):
        tracker.check_study("moving")
    with pytest.raises(TrackingRefused, match=told):
        tracker.open_run(RunInfo("trial 1", "moving", slot=1))
    assert _written(tmp_path) == before
    shutil.copytree(old / "mlruns", tmp_path / "new" / "mlruns")
    tracker.check()
    tracker.check_study("moving")


def test_files_that_are_lost_are_said_to_be_missing_in_both_places(
    recorded: tuple[Path, str, str], tmp_path: Path
) -> None:
    old, run_id, uri = recorded
    new = old.rename(tmp_path / "new")
    shutil.rmtree(new / "mlruns")
    tracker = MlflowTracker(f"sqlite:///{new}/mlflow.db")
    told = rf"not in {new}/mlruns/moving/.* nor in {old}/mlruns/.*the working folder seems to have been moved"
    with pytest.raises(ArtifactMissing, match=told):
        tracker.download_model(uri, tmp_path / "fetched")
    with pytest.raises(ArtifactMissing, match=told):
        tracker.download(run_id, "config.json", tmp_path / "config.json")
