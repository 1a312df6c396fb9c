"""What `run` does before anything is trained: no more is started than is of use, nothing is left where it fails."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

from cli.process import group, study_monitor
from cli.process.placement import Plan
from search.slots import lease_writes
from search.slots.claim import Claimant, claim
from search.slots.studies import StudyHandle, create_study
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.view import status
from search.view.views import StudyView
from tracking.mlflow.tracker import MlflowTracker

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
ROOT = Path(__file__).parents[2]
Run = Callable[..., str]
NEW = ("run", "--task", "hopper", "--profile", "smoke")


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans by which workers would have been started."""
    plans: list[Plan] = []

    def started(plan: Plan, *_: object) -> None:
        plans.append(plan)
        raise KeyboardInterrupt

    monkeypatch.setattr(group, "build_supervisor", started)
    return plans


def end(url: str, trials: int, published: bool) -> None:
    """Let trials of a study of four have their results."""
    spec = catalog.build(
        catalog.find("hopper"),
        StudyRequest(profile="smoke", numbers={"trials": 4}, confirm=False),
        has_gpu=False,
    )
    with open_storage(url, create=True) as store:
        handle = create_study(store, "hopper", 4, spec.to_json(), [spec.defaults()])
        for number in range(trials):
            lease = claim(store, handle.study_id, Claimant("gone", 60.0))
            assert lease is not None
            ended = lease_writes.finish(store, lease, "pruned", float(number), seconds=0.0)
            if published:
                lease_writes.publish(store, ended)


@pytest.mark.parametrize(("ended", "workers"), [(0, 4), (3, 1), (4, 1)])
def test_no_more_workers_are_started_than_trials_are_left(
    run: Run, planned: list[Plan], tmp_path: Path, ended: int, workers: int
) -> None:
    end(f"sqlite:///{tmp_path}/omad.db", ended, published=ended < 4)
    run("run", "--study", "hopper", "--workers", "6", "--devices", "cpu", code=130)
    run("run", "--study", "hopper", "--workers", "6", "--devices", "cpu", "--trials", "9", code=130)
    assert [len(plan.devices) for plan in planned] == [workers, min(6, 9 - ended)]


def test_fewer_workers_than_trials_are_started_where_that_is_asked_for(run: Run, planned: list[Plan]) -> None:
    run(*NEW, "--trials", "4", "--workers", "2", "--devices", "cpu", code=130)
    assert [len(plan.devices) for plan in planned] == [2]


class Unable:
    """Workers that end at once and publish nothing."""

    def __init__(
        self, workers: object, store: Store, handle: StudyHandle, tracking: str, *shown: bool
    ) -> None:
        self.store, self.handle, self.interrupted, self.ended = store, handle, False, True
        self.workers = SimpleNamespace(failed=[])

    def run(self) -> StudyView:
        return status.read(self.store, self.handle, "")


def test_results_that_could_not_be_sent_are_told_with_what_sends_them(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(f"sqlite:///{tmp_path}/omad.db", 4, published=False)
    monkeypatch.setattr(group, "build_supervisor", lambda *_: None)
    monkeypatch.setattr(study_monitor, "StudyMonitor", Unable)
    said = run("run", "--study", "hopper", "--no-confirm", "--workers", "1", "--devices", "cpu", code=1)
    assert "4 results could not be sent to MLflow" in said
    assert "`omad-search sync hopper` sends them" in said


def nobody_there() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    "words", [NEW, ("worker", "hopper"), ("worker", "hopper", "--device", "cpu"), ("sync",)]
)
def test_a_tracking_server_that_is_down_is_told_before_anything_heavy_is_imported(
    words: Sequence[str], tmp_path: Path
) -> None:
    """Their imports take seconds, on a slow machine many."""
    code = """
import sys
from cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as left:
    assert left.code == 1, left.code
heavy = {"torch", "mlflow", "optuna", "mujoco", "numpy", "sqlalchemy"} & set(sys.modules)
assert not heavy, heavy
"""
    address = f"http://ann:hunter2@127.0.0.1:{nobody_there()}"
    hidden = ("OMAD_SUPERVISED_BY", "OMAD_STORAGE")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**environment, "MLFLOW_TRACKING_URI": address, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    location = address.replace("ann:hunter2", "***")
    assert done.stderr == (
        f"error: The tracking server {location} cannot be reached: nothing listens there; "
        "start the server, or correct the address.\n"
    )
    assert list(tmp_path.iterdir()) == []


def foreign_tracking(folder: Path) -> str:
    """An MLflow database of another MLflow."""
    MlflowTracker(f"sqlite:///{folder}/made.db").check()
    # Under another name: what was prepared once in this process is not looked at again.
    theirs = shutil.copy(folder / "made.db", folder / "theirs.db")
    with closing(sqlite3.connect(theirs)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'another'")
        connection.commit()
    return f"sqlite:///{theirs}"


@pytest.mark.parametrize(
    "option",
    [
        lambda folder: ("--tracking", f"http://127.0.0.1:{nobody_there()}"),
        lambda folder: ("--tracking", "gopher://somewhere"),
        lambda folder: ("--tracking", foreign_tracking(folder)),
        lambda folder: ("--storage", f"postgresql://me:secret@127.0.0.1:{nobody_there()}/x"),
        lambda folder: ("--storage", foreign_tracking(folder)),
        lambda folder: ("--storage", "sqlite:///missing/omad.db"),
        lambda folder: ("--storage", "redis://here"),
    ],
)
def test_a_wrong_address_leaves_nothing_behind(
    run: Run,
    option: Callable[[Path], tuple[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> None:
    named = option(tmp_path_factory.mktemp("elsewhere"))
    said = run(*NEW, *named, code=2 if named[1] in ("gopher://somewhere", "redis://here") else 1)
    assert said.splitlines()[-1].startswith("error: ")
    assert "unexpected" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_study_whose_experiment_was_deleted_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db").check()
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    client.delete_experiment(client.create_experiment("hopper"))
    before = {file.name for file in tmp_path.iterdir()}
    said = run(*NEW, code=1)
    assert "mlflow experiments restore -x 1" in said
    assert {file.name for file in tmp_path.iterdir()} == before


def test_a_storage_that_another_process_makes_is_left_to_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "omad.db").touch()
    run(*NEW, "--tracking", "gopher://somewhere", code=2)
    assert (tmp_path / "omad.db").stat().st_size == 0


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("mine", "`omad-search run --task hopper --study mine`"),
        ("swimmer_2x1", "`omad-search run --task swimmer_2x1`"),
    ],
)
def test_a_study_that_is_not_there_is_told_with_the_line_that_begins_it(
    run: Run, tmp_path: Path, name: str, line: str
) -> None:
    said = run("run", "--study", name, code=2)
    assert said.startswith(
        f"error: there is no study '{name}' to continue: storage sqlite:///omad.db holds none yet."
    )
    assert f"A new study needs its task: {line} begins one" in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    end(f"sqlite:///{tmp_path}/omad.db", 0, published=False)
    said = run("run", "--study", name, code=2)
    assert f"storage sqlite:///omad.db has no study '{name}'; it has: hopper" in said
    assert f"A new study needs its task: {line} begins one" in said
    said = run("run", "--study", "hoper", code=2)
    assert "did you mean 'hopper'?" in said
