"""Where a study is recorded: one MLflow store, known by the study's run in it and by no address."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from cli.joining import join
from cli.main import main
from cli.opening import open_for_running
from search.errors import SpecConflict
from search.records.whereabouts import recorded_in
from search.slots import budget
from search.slots.claim import Claimant, claim, claim_unpublished, wanted
from search.slots.study import StudyHandle, open_study
from search.spec.given import Given
from search.storage.store import open_storage
from tracking.errors import TrackingUnavailable
from tracking.mlflow_tracker import MlflowTracker
from tracking.null import NullTracker

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def study(place: Callable[..., Any]) -> Any:
    """A study `hopper` of two trials, joined by one worker."""
    study = place("study", 2)
    study.handle = join(study.store, "hopper", Given(), MlflowTracker(study.tracking))
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
    assert wanted(study.store, study.handle.study_id) == "running"
    assert MlflowClient(other).search_experiments(filter_string="name = 'hopper'") == []


def test_one_store_may_have_several_addresses(study: Any, said: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(study.folder)
    same = f"sqlite:////{tmp_path}/link/../study/mlflow.db"
    joined = join(study.store, "hopper", Given(), MlflowTracker(same))
    assert (joined.tracking, joined.tracking_run) == (study.tracking, study.handle.tracking_run)
    alias = f"sqlite:///{tmp_path}/alias.db"
    (tmp_path / "alias.db").hardlink_to(study.folder / "mlflow.db")
    assert "already" in said("move", "hopper", "--tracking", alias, "--from-tracking", study.tracking)
    assert wanted(study.store, study.handle.study_id) == "running"


def test_a_deleted_run_of_the_study_is_still_its_place(study: Any) -> None:
    tracker = MlflowTracker(study.tracking)
    MlflowClient(study.tracking).delete_run(study.handle.tracking_run)
    opened = open_for_running(study.store, tracker, study.spec, Given(task="hopper"))
    assert opened.handle.tracking_run == study.handle.tracking_run != opened.run_id
    assert join(study.store, "hopper", Given(), tracker).tracking_run == study.handle.tracking_run


def test_after_a_move_the_old_store_is_refused_and_the_new_one_is_not(
    study: Any, other: str, said: Callable[..., str]
) -> None:
    words = ["move", "hopper", "--tracking", other]
    assert said(*words, "--from-tracking", study.tracking, code=0) == ""
    told = said("worker", "hopper", "--device", "cpu", "--tracking", study.tracking)
    assert f"is recorded in {other}, and {study.tracking} does not have it" in told
    joined = join(study.store, "hopper", Given(), MlflowTracker(other))
    (run,) = MlflowClient(other).search_runs(
        [e.experiment_id for e in MlflowClient(other).search_experiments(filter_string="name = 'hopper'")]
    )
    assert (joined.tracking, joined.tracking_run) == (other, run.info.run_id)
    assert "with --from-tracking" in said(*words, "--from-tracking", study.tracking)
    assert wanted(study.store, study.handle.study_id) == "running"


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
    with pytest.raises(SystemExit, match="0"):
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


def test_of_two_that_begin_a_study_in_two_stores_one_is_right(place: Callable[..., Any], other: str) -> None:
    study = place("study", 1)
    unknown = open_study(study.store, "hopper")
    assert unknown.tracking_run is None
    recorded_in(study.store, unknown, MlflowTracker(study.tracking))
    with pytest.raises(SpecConflict, match="is recorded in"):
        recorded_in(study.store, unknown, MlflowTracker(other))
    (experiment,) = MlflowClient(other).search_experiments(filter_string="name = 'hopper'")
    assert list(MlflowClient(other).search_runs([experiment.experiment_id])) == []


def test_a_password_in_the_address_is_neither_kept_nor_said(place: Callable[..., Any]) -> None:
    class Secret(NullTracker):
        address = "http://me:hush@127.0.0.1:1"

    class Other(Secret):
        def has_run(self, run_id: str) -> bool:
            return False

    study = place("study", 1)
    handle = recorded_in(study.store, open_study(study.store, "hopper"), Secret())
    assert handle.tracking == "http://***@127.0.0.1:1"
    with pytest.raises(SpecConflict, match=r"and http://\*\*\*@127.0.0.1:1 does not have it") as refused:
        recorded_in(study.store, handle, Other())
    assert "hush" not in str(refused.value)


def test_a_worker_begins_without_a_server_that_it_was_seen_with(study: Any) -> None:
    away = MlflowTracker("http://127.0.0.1:1")
    assert join(study.store, "hopper", Given(), away, may_be_away=True) == study.handle
    with pytest.raises(TrackingUnavailable):
        join(study.store, "hopper", Given(), away)
    assert budget.counts(study.store, study.handle.study_id).open == 2
