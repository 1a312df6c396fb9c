"""Empty databases are created once, whoever comes first and however many come at once."""

import shutil
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy
from mlflow import MlflowClient

from tracking.errors import TrackingError, TrackingRefused
from tracking.mlflow import database as mlflow_database
from tracking.mlflow.address import sqlite_address
from tracking.mlflow.tracker import MlflowTracker
from tracking.tracker import RunInfo


def runs(address: str) -> list[str]:
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("study")
    return sorted(
        run.data.tags.get("omad.slot", "parent") for run in client.search_runs([experiment.experiment_id])
    )


@pytest.mark.parametrize("kind", ["database", "postgresql"])
def test_twelve_workers_that_meet_an_empty_database_at_once_find_their_runs(
    request: pytest.FixtureRequest, kind: str
) -> None:
    address = request.getfixturevalue(f"{kind}_address")
    assert runs(address) == sorted([*map(str, range(12)), "parent"])


def test_creating_a_database_leaves_nothing_beside_it(database_address: str) -> None:
    folder = Path(database_address.removeprefix("sqlite:///")).parent
    assert {path.name for path in folder.iterdir()} <= {"mlflow.db", "mlruns", ".mlflow.db.lock"}


@pytest.fixture
def database(database_address: str, tmp_path: Path) -> Path:
    """A tracking database of the test's own, copied from one that is empty or not."""
    MlflowTracker(database_address).check()
    copy = tmp_path / "a 100% folder" / "mlflow.db"
    copy.parent.mkdir()
    shutil.copy(database_address.removeprefix("sqlite:///"), copy)
    return copy


def test_checking_again_changes_nothing(database: Path) -> None:
    tracker = MlflowTracker(sqlite_address(database))
    tracker.check()
    run_id = tracker.open_run(RunInfo("s", "s"))
    tracker.check()
    MlflowTracker(sqlite_address(database)).check()
    assert tracker.open_run(RunInfo("s", "s")) == run_id


def test_a_creation_that_is_interrupted_leaves_no_half_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db")

    def half(address: str) -> None:
        with sqlite3.connect(sqlalchemy.make_url(address).database or "") as connection:
            connection.execute("CREATE TABLE experiments (half INTEGER)")
        connection.close()
        raise KeyboardInterrupt

    with monkeypatch.context() as interruption:
        interruption.setattr(mlflow_database, "_create_tables", half)
        with pytest.raises(KeyboardInterrupt):
            tracker.check()
    assert {path.name for path in tmp_path.iterdir()} <= {".mlflow.db.lock"}, (
        "the next one begins as if this one had never been"
    )


def test_the_default_is_mlflows_own_file_in_the_working_folder(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(database, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracker = MlflowTracker()
    tracker.check()
    run_id = tracker.open_run(RunInfo("hopper", "hopper"))
    assert tracker.address == f"sqlite:///{tmp_path}/mlflow.db"
    artifacts = MlflowClient(tracker.address).get_run(run_id).info.artifact_uri
    assert artifacts.startswith((tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert MlflowTracker().address == "http://127.0.0.1:5000"


def test_artifacts_lie_beside_the_database_wherever_the_worker_runs(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    file = tmp_path / "file"
    file.write_text("content")
    tracker = MlflowTracker(sqlite_address(database))
    run_id = tracker.open_run(RunInfo("hopper", "hopper"))
    tracker.upload(run_id, {"file": file})
    tracker.download(run_id, "file", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "content"
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert len(list((database.parent / "mlruns" / "hopper").rglob("file"))) == 1


def test_the_database_of_the_studies_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "omad.db") as connection:
        connection.execute("CREATE TABLE study_directions (id INTEGER)")
    connection.close()
    with pytest.raises(TrackingRefused, match=r"omad\.db holds Optuna's studies"):
        MlflowTracker(f"sqlite:///{tmp_path}/omad.db").check()
    with sqlite3.connect(tmp_path / "omad.db") as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()
    assert tables == [("study_directions",)]


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text(
        "These are my notes, which are long enough to be read as a header." * 20
    )
    with pytest.raises(TrackingError, match=r"notes\.db"):
        MlflowTracker(f"sqlite:///{tmp_path}/notes.db").check()


def test_a_place_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(TrackingError, match=r"failed on this machine: .*file"):
        MlflowTracker(f"sqlite:///{tmp_path}/file/mlflow.db").check()


def test_a_database_of_another_mlflow_version_is_not_migrated_unasked(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    connection.close()
    with pytest.raises(TrackingRefused, match=r"out-of-date .*backup.*mlflow db upgrade"):
        MlflowTracker(sqlite_address(database)).check()


@pytest.mark.parametrize(
    ("uri", "match"),
    [
        ("./mlruns", "is no tracking address"),
        ("file:///tmp/mlruns", "is no tracking address"),
        ("ftp://ann:hunter2@host/x", r"ftp://ann:\*\*\*@host/x' is no tracking address"),
        ("http://", "names no host"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_before_anything_is_reached(uri: str, match: str) -> None:
    with pytest.raises(TrackingRefused, match=match):
        MlflowTracker(uri)


def test_a_missing_driver_is_named() -> None:
    with pytest.raises(TrackingRefused, match=r"needs the package .*not installed"):
        MlflowTracker("mssql+pymssql://ann:hunter2@127.0.0.1/x").check()
