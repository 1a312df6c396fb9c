"""What misbehaves costs nothing but itself: environments, processes and disks, by real workers."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_tracker import FakeTracker

from search.checkpoints.workdir import Workdir
from search.errors import UnfitMachine
from search.launch.supervisor import Child, Supervisor
from search.recording.study_run import parent_info
from search.slots import budget
from search.slots.lease import SlotRow
from search.slots.studies import StudyHandle, create_study, optuna_study
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.worker.context import WorkerLocation
from search.worker.worker import Worker
from tracking.mlflow.tracker import MlflowTracker

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KINDS = ("none", "nan", "infinite", "raises", "exits", "interrupts", "fills_the_disk")
DEADLY = ("segfaults", "leaves", "is_killed")
STUDY = f"""
task = "misbehaving_worlds:make"
name = "misbehaving"
[train]
env.args.kind = "none"
[space]
env.args.kind = {{ choices = {[*KINDS, *DEADLY]} }}
"""
TRAIN = {"env_steps": 100, "random_steps": 30, "log_every_steps": 50, "evaluation.every_steps": 50}


class MisbehavingStudy:
    """A study whose trials misbehave each in its own way."""

    def __init__(self, folder: Path, kinds: Sequence[str], max_attempts: int) -> None:
        self.folder = folder
        (folder / "study.toml").write_text(STUDY)
        numbers = {"trials": len(kinds), "max_attempts": max_attempts, "checkpoint_seconds": 0.5}
        requested = StudyRequest(profile="smoke", numbers=numbers, train=TRAIN)
        self.spec = catalog.build(catalog.find(str(folder / "study.toml")), requested, has_gpu=False)
        self.storage, self.tracking = f"sqlite:///{folder}/omad.db", f"sqlite:///{folder}/mlflow.db"
        self.store: Store = open_storage(self.storage, create=True)
        params = [{**self.spec.defaults(), "env.args.kind": kind} for kind in kinds]
        self.handle: StudyHandle = create_study(
            self.store, self.spec.name, len(kinds), self.spec.to_json(), params
        )

    def work(self, pack: int = 1) -> list[SlotRow]:
        """A worker of this process, to the end."""
        location = WorkerLocation(Workdir(self.folder / "home"), pack=pack)
        Worker(self.store, self.handle, FakeTracker(), location).run()
        return self.rows()

    def supervised(self, most_crashes: int, home: Path, *options: str) -> Child:
        """A worker process under a supervisor, to its end."""
        tracker = MlflowTracker(self.tracking)
        tracker.check()
        tracker.open_run(parent_info(self.spec, self.handle, self.store.address))
        environment = {
            "OMAD_STORAGE": self.storage,
            "MLFLOW_TRACKING_URI": self.tracking,
            "OMAD_HOME": str(home),
        }
        environment |= {"PYTHONPATH": f"{ROOT}:{HERE}", "OMAD_SUPERVISED_BY": str(os.getpid())}
        argv = [sys.executable, "-m", "cli.main", "worker", self.spec.name, "--device", "cpu", *options]
        child = Child(0, argv, environment, self.folder / "worker.log", most_crashes)
        workers = Supervisor([child])
        end = time.monotonic() + 400
        try:
            while not workers.ended:
                assert time.monotonic() < end, child.last_words()
                workers.look()
                time.sleep(0.1)
        finally:
            workers.kill()
            workers.wait(10)
        return child

    def log_lines(self) -> list[str]:
        return (self.folder / "worker.log").read_text().splitlines()

    def rows(self) -> list[SlotRow]:
        return budget.rows(self.store, self.handle.study_id)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MisbehavingStudy]]:
    monkeypatch.syspath_prepend(str(HERE))
    made: list[MisbehavingStudy] = []

    def make(*kinds: str, max_attempts: int = 2) -> MisbehavingStudy:
        made.append(MisbehavingStudy(tmp_path, kinds, max_attempts))
        return made[-1]

    yield make
    for each in made:
        each.store.close()


@pytest.mark.parametrize("kind", ["nan", "infinite"])
def test_a_trial_whose_reward_is_not_finite_ends_alone_and_without_a_value(
    study: Callable[..., MisbehavingStudy], kind: str
) -> None:
    place = study(kind, "none")
    bad, good = place.work(pack=2)
    assert bad.outcome in ("diverged", "failed")
    assert bad.value is None
    assert bad.reason
    assert re.search("nan|inf|not finite", bad.reason)
    assert (good.outcome, good.token) == ("complete", 1)
    states = {
        trial.number: trial.state.name for trial in optuna_study(place.store, place.handle).get_trials()
    }
    assert states[1] == "COMPLETE"
    assert states[0] in ("PRUNED", "FAIL")


@pytest.mark.parametrize(
    ("kind", "said"), [("exits", "SystemExit"), ("interrupts", "KeyboardInterrupt"), ("raises", "wheel")]
)
def test_a_trial_whose_environment_exits_fails_like_one_that_raises(
    study: Callable[..., MisbehavingStudy], kind: str, said: str
) -> None:
    bad, good = study(kind, "none").work()
    assert (bad.outcome, bad.token) == ("failed", 2)
    assert bad.reason
    assert said in bad.reason
    assert good.outcome == "complete"


def test_a_full_disk_ends_the_worker_and_costs_its_trials_no_attempt(
    study: Callable[..., MisbehavingStudy],
) -> None:
    place = study("fills_the_disk", "none")
    with pytest.raises(UnfitMachine, match=r"disk full.*No space left on device"):
        place.work(pack=2)
    assert [(row.state, row.attempt, row.outcome) for row in place.rows()] == [("open", 0, None)] * 2


@pytest.mark.slow
def test_trials_that_end_their_process_are_failed_before_their_supervisor_gives_up(
    study: Callable[..., MisbehavingStudy], tmp_path: Path
) -> None:
    place = study("segfaults", "leaves", "is_killed", "none", max_attempts=1)
    child = place.supervised(2, tmp_path / "home")
    assert child.code == 0, child.last_words()
    rows = place.rows()
    assert [row.outcome for row in rows] == ["failed", "failed", "failed", "complete"]
    for row in rows[:3]:
        assert row.reason is not None
        assert row.reason.startswith("worker died once at step ")


@pytest.mark.slow
def test_the_neighbour_of_a_trial_that_ends_its_process_is_not_failed_with_it(
    study: Callable[..., MisbehavingStudy], tmp_path: Path
) -> None:
    place = study("segfaults", "none", max_attempts=2)
    child = place.supervised(4, tmp_path / "home", "--pack", "2")
    assert child.code == 0, child.last_words()
    assert [row.outcome for row in place.rows()] == ["failed", "complete"]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system that is nearly full."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("nothing may be mounted here")
    try:
        (folder / "fill").write_bytes(bytes(340 * 1024))
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_worker_on_a_full_disk_says_so_once_and_burns_no_trial(
    study: Callable[..., MisbehavingStudy], tmp_path: Path
) -> None:
    place = study("none", "none", "none")
    with small_disk(tmp_path / "disk") as disk:
        began = time.monotonic()
        child = place.supervised(5, disk)
    assert child.code == 1
    assert child.crashes == 0, f"it is not started again ({time.monotonic() - began:.0f} s)"
    (line,) = [line for line in place.log_lines() if line.startswith("error:")]
    assert "disk full" in line
    assert "No space left on device" in line
    assert [(row.state, row.attempt, row.outcome) for row in place.rows()] == [("open", 0, None)] * 3
