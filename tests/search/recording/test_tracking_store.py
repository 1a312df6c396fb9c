"""Where a study is recorded: one MLflow store, known by the study's run in it and by no address."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_tracker import FakeTracker
from mlflow import MlflowClient

from cli.main import main
from cli.setup import lookup
from cli.setup.creation import join, open_for_running
from search.errors import SpecConflict
from search.recording.tracking_store import ensure_recorded
from search.slots import budget
from search.slots.claim import Claimant, claim, claim_unpublished, read_desired_state
from search.slots.studies import StudyHandle, open_study
from search.storage.store import open_storage
from search.study.request import StudyRequest
from tracking.errors import TrackingUnavailable
from tracking.mlflow.tracker import MlflowTracker

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def study(location: Callable[..., Any]) -> Any:
    """A study `hopper` of two trials, joined by one worker."""
    study = location("study", 2)
    study.handle = join(study.store, "hopper", StudyRequest(), MlflowTracker(study.tracking))
    return study


@pytest.fixture
def other(tmp_path: Path, empty_mlflow: Path) -> str:
    """Address of another MLflow store."""
    shutil.copy(empty_mlflow, tmp_path / "other.db")
    return f"sqlite:///{tmp_path}/other.db"


@pytest.fixture
def said(
    capsys: pytest.CaptureFixture[str], study: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """What a command on the study's storage says to stderr when it ends with this code."""
    monkeypatch.setenv("OMAD_HOME", str(study.folder / "home"))

    def run(*words: str, code: int = 2) -> str:
        with pytest.raises(SystemExit, match=str(code)):
            main([*words, "--storage", study.storage])
        return capsys.readouterr().err

    return run


def test_another_store_is_refused_by_everything_that_would_write_there(
    study: Any, other: str, said: Callable[..., str]
) -> None:
    for words in (
        ["worker", "hopper", "--device", "cpu"],
        ["worker", "hopper", "--workers", "1"],
        ["run", "--study", "hopper", "--profile", "smoke"],
        ["sync", "hopper"],
    ):
        told = said(*words, "--tracking", other)
        assert f"study 'hopper' is recorded in {study.tracking}, and {other} does not have it" in told
        assert "with --tracking" in told
    assert read_desired_state(study.store, study.handle.study_id) == "running"
    assert MlflowClient(other).search_experiments(filter_string="name = 'hopper'") == []


def test_one_store_may_have_several_addresses(study: Any, said: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(study.folder)
    same = f"sqlite:////{tmp_path}/link/../study/mlflow.db"
    joined = join(study.store, "hopper", StudyRequest(), MlflowTracker(same))
    assert (joined.tracking, joined.tracking_run) == (study.tracking, study.handle.tracking_run)
    alias = f"sqlite:///{tmp_path}/alias.db"
    (tmp_path / "alias.db").hardlink_to(study.folder / "mlflow.db")
    assert "already" in said("move", "hopper", "--tracking", alias, "--from-tracking", study.tracking)
    assert read_desired_state(study.store, study.handle.study_id) == "running"


def test_a_deleted_run_of_the_study_is_still_its_place(study: Any) -> None:
    tracker = MlflowTracker(study.tracking)
    MlflowClient(study.tracking).delete_run(study.handle.tracking_run)
    opened = open_for_running(study.store, tracker, study.spec, StudyRequest(task="hopper"))
    assert opened.handle.tracking_run == study.handle.tracking_run != opened.run_id
    assert join(study.store, "hopper", StudyRequest(), tracker).tracking_run == study.handle.tracking_run


def test_after_a_move_the_old_store_is_refused_and_the_new_one_is_not(
    study: Any, other: str, said: Callable[..., str]
) -> None:
    words = ["move", "hopper", "--tracking", other]
    assert said(*words, "--from-tracking", study.tracking, code=0) == ""
    told = said("worker", "hopper", "--device", "cpu", "--tracking", study.tracking)
    assert f"is recorded in {other}, and {study.tracking} does not have it" in told
    joined = join(study.store, "hopper", StudyRequest(), MlflowTracker(other))
    (run,) = MlflowClient(other).search_runs(
        [e.experiment_id for e in MlflowClient(other).search_experiments(filter_string="name = 'hopper'")]
    )
    assert (joined.tracking, joined.tracking_run) == (other, run.info.run_id)
    assert "with --from-tracking" in said(*words, "--from-tracking", study.tracking)
    assert read_desired_state(study.store, study.handle.study_id) == "running"


def test_a_worker_that_knows_the_old_store_gets_nothing_more(
    study: Any, other: str, said: Callable[..., str], work_here: Callable[..., None]
) -> None:
    said("move", "hopper", "--tracking", other, "--from-tracking", study.tracking, code=0)
    handle: StudyHandle = study.handle
    number = handle.study_id
    assert claim(study.store, number, Claimant("late", recorded=handle.tracking_run)) is None
    work_here(study, "home")
    assert [row.trial_id for row in study.rows()] == [None, None], "it left without a trial"
    with study.store.write() as connection:
        connection.exec_driver_sql(
            "UPDATE omad_slot SET state = 'failed', outcome = 'failed' WHERE number = 0"
        )
    assert claim_unpublished(study.store, number, Claimant("late", recorded=handle.tracking_run)) is None
    moved = open_study(study.store, "hopper")
    assert claim_unpublished(study.store, number, Claimant("new", recorded=moved.tracking_run)) is not None
    assert claim(study.store, number, Claimant("new", recorded=moved.tracking_run)) is not None


def test_with_the_storage_goes_what_is_known_of_the_records(
    study: Any, other: str, said: Callable[..., str], new_url: Callable[[str], str]
) -> None:
    to, too = new_url("sqlite"), new_url("sqlite")
    said("move", "hopper", "--to", to, code=0)
    with open_storage(to) as store:
        moved = open_study(store, "hopper")
        assert (moved.tracking, moved.tracking_run) == (study.tracking, study.handle.tracking_run)
    with pytest.raises(SystemExit, match=r"^0$"):
        main(
            [
                "move",
                "hopper",
                "--storage",
                to,
                "--to",
                too,
                "--tracking",
                other,
                "--from-tracking",
                study.tracking,
            ]
        )
    with open_storage(too) as store:
        moved = open_study(store, "hopper")
        assert moved.tracking == other
        assert moved.tracking_run not in (None, study.handle.tracking_run)


def test_of_two_that_begin_a_study_in_two_stores_one_is_right(
    location: Callable[..., Any], other: str
) -> None:
    study = location("study", 1)
    unknown = open_study(study.store, "hopper")
    assert unknown.tracking_run is None
    ensure_recorded(study.store, unknown, MlflowTracker(study.tracking))
    with pytest.raises(SpecConflict, match="is recorded in"):
        ensure_recorded(study.store, unknown, MlflowTracker(other))
    (experiment,) = MlflowClient(other).search_experiments(filter_string="name = 'hopper'")
    assert list(MlflowClient(other).search_runs([experiment.experiment_id])) == []


def test_a_password_in_the_address_is_neither_kept_nor_said(location: Callable[..., Any]) -> None:
    class Secret(FakeTracker):
        address = "http://me:hush@127.0.0.1:1"

    class Other(Secret):
        def has_run(self, run_id: str) -> bool:
            return False

    study = location("study", 1)
    handle = ensure_recorded(study.store, open_study(study.store, "hopper"), Secret())
    assert handle.tracking == "http://***@127.0.0.1:1"
    with pytest.raises(SpecConflict, match=r"and http://\*\*\*@127.0.0.1:1 does not have it") as refused:
        ensure_recorded(study.store, handle, Other())
    assert "hush" not in str(refused.value)


def test_a_worker_begins_without_a_server_that_it_was_seen_with(study: Any) -> None:
    away = MlflowTracker("http://127.0.0.1:1")
    assert join(study.store, "hopper", StudyRequest(), away, unavailable_allowed=True) == study.handle
    with pytest.raises(TrackingUnavailable):
        join(study.store, "hopper", StudyRequest(), away)
    assert budget.counts(study.store, study.handle.study_id).open == 2


def test_where_the_database_was_moved_its_address_is_known_and_corrected(
    study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = Path(study.tracking.removeprefix("sqlite:///"))
    (tmp_path / "moved").mkdir()
    for name in ("mlflow.db", "mlruns"):
        shutil.move(old.parent / name, tmp_path / "moved" / name)
    monkeypatch.chdir(tmp_path / "moved")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    here = f"sqlite:///{tmp_path}/moved/mlflow.db"
    assert lookup.tracking_address(study.handle, None) == "sqlite:///mlflow.db", "that of this folder"
    assert study.handle.tracking == f"sqlite:///{old}"
    assert ensure_recorded(study.store, study.handle, MlflowTracker(None)).tracking == here
    assert open_study(study.store, "hopper").tracking == here


def test_another_database_is_not_taken_for_one_that_is_gone(
    study: Any, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(study.tracking.removeprefix("sqlite:///")).unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", other)
    assert lookup.tracking_address(study.handle, None) == study.handle.tracking


@pytest.mark.parametrize("words", [("run", "--study", "hopper"), ("worker", "hopper"), ("sync", "hopper")])
def test_who_begins_while_the_server_is_away_is_refused_and_changes_nothing(
    study: Any, said: Callable[..., str], words: tuple[str, ...]
) -> None:
    before = open_study(study.store, "hopper"), study.rows()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    told = said(*words, "--tracking", address, code=1)
    assert told == (
        f"error: The tracking server {address} cannot be reached: nothing listens there; start the server, or "
        "correct the address.\n"
    )
    assert (open_study(study.store, "hopper"), study.rows()) == before
