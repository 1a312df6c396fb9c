"""The tracking server goes away, a worker dies meanwhile, a disk is full: nothing is lost or doubled."""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from search.recording.study_run import BEST, parent_info
from search.slots import budget
from search.slots.studies import create_study, optuna_study
from search.storage.store import open_storage
from search.study import catalog
from search.study.request import StudyRequest
from tracking.mlflow.tracker import MlflowTracker

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
ROOT = Path(__file__).parents[2]


class ServerStudy:
    """A study, an MLflow server that can be killed, and workers."""

    def __init__(self, folder: Path, server: Any, trials: int, steps: int, **numbers: float) -> None:
        self.folder, self.trials, self.steps = folder, trials, steps
        self.server, self.address = server, server.address
        self.workers: list[subprocess.Popen[bytes]] = []
        self.storage = f"sqlite:///{folder}/omad.db"
        train = {"env_steps": steps, "log_every_steps": 50, "evaluation.every_steps": 250}
        requested = StudyRequest(
            profile="smoke",
            numbers={"trials": trials, "checkpoint_seconds": 1.0, **numbers},
            train=train,
            confirm=False,
        )
        self.spec = catalog.build(catalog.find("hopper"), requested, has_gpu=False)
        self.store = open_storage(self.storage, create=True)
        self.handle = create_study(self.store, "hopper", trials, self.spec.to_json(), [self.spec.defaults()])
        tracker = MlflowTracker(self.address)
        tracker.open_run(parent_info(self.spec, self.handle, self.store.address))

    def start_server(self) -> None:
        self.server.start()
        self.server.wait()

    def kill_server(self) -> None:
        self.server.kill()

    def start_worker(self, home: Path | None = None) -> subprocess.Popen[bytes]:
        return self._start("worker", "hopper", "--device", "cpu", home=home)

    def start_sync(self) -> subprocess.Popen[bytes]:
        return self._start("sync", "hopper")

    def _start(self, *words: str, home: Path | None = None) -> subprocess.Popen[bytes]:
        places = {"OMAD_STORAGE": self.storage, "MLFLOW_TRACKING_URI": self.address}
        places["OMAD_HOME"] = str(home or self.folder / "home")
        command = [sys.executable, "-m", "cli.main", *words]
        with (self.folder / "worker.log").open("ab") as log:
            environment = {**os.environ, **places, "OMP_NUM_THREADS": "1"}
            worker = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def finish(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        for worker in self.workers:
            worker.wait(max(1.0, end - time.monotonic()))

    def rows(self) -> list[budget.SlotRow]:
        return budget.rows(self.store, self.handle.study_id)

    def done(self) -> list[int]:
        """Steps of each trial, as its worker tells them."""
        return [int(row.progress.get("step", 0)) for row in self.rows()]

    def spent(self) -> tuple[float, float]:
        """Environment steps done by all, and the processor seconds that their workers took for them."""
        times = [psutil.Process(worker.pid).cpu_times() for worker in self.workers]
        return float(sum(self.done())), sum(each.user + each.system for each in times)

    def wait_for(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (self.folder / "worker.log").read_text()
            time.sleep(0.1)

    def runs(self) -> list[Run]:
        client = MlflowClient(self.address)
        experiment = client.get_experiment_by_name("hopper")
        assert experiment is not None
        return list(client.search_runs([experiment.experiment_id]))

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.store.close()


@pytest.fixture
def site(tmp_path: Path, mortal_tracking: Any) -> Iterator[Callable[..., ServerStudy]]:
    """Makes a site, which is cleared away afterwards."""
    made: list[ServerStudy] = []

    def make(trials: int, steps: int, **numbers: float) -> ServerStudy:
        made.append(ServerStudy(tmp_path, mortal_tracking, trials, steps, **numbers))
        return made[-1]

    yield make
    for each in made:
        each.close()


def assert_everything_once(site: ServerStudy) -> None:
    """One run a trial with every point, parameter, artifact and model once."""
    client = MlflowClient(site.address)
    trials = {
        run.data.tags["omad.trial"]: run for run in site.runs() if "mlflow.parentRunId" in run.data.tags
    }
    assert len(trials) == len(site.runs()) - 1 == site.trials
    frozen = {str(t.number): t for t in optuna_study(site.store, site.handle).get_trials()}
    for number, run in trials.items():
        assert run.info.status == "FINISHED", (number, (site.folder / "worker.log").read_text())
        assert run.data.params.keys() == frozen[number].params.keys()
        for metric, first, every in (("train/alpha", 150, 50), ("eval/return_mean", 250, 250)):
            history = client.get_metric_history(run.info.run_id, metric)
            steps = [point.step for point in history if point.step % every == 0]
            assert sorted(steps) == list(range(first, site.steps + 1, every)), (number, metric)
        artifacts = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert {"config.json", "provenance.json"} <= artifacts
        assert "checkpoints" not in artifacts
    experiment = next(iter(trials.values())).info.experiment_id
    models = client.search_logged_models([experiment])
    assert sorted(model.source_run_id or "" for model in models) == sorted(
        run.info.run_id for run in trials.values()
    )
    (parent,) = [run for run in site.runs() if "mlflow.parentRunId" not in run.data.tags]
    best = client.get_metric_history(parent.info.run_id, BEST)
    assert sorted(point.step for point in best) == list(range(1, site.trials + 1))


def assert_found_without_being_told(site: ServerStudy) -> None:
    """What a person looks for in the UI: names, nesting, tags, the configuration, models by their rank."""
    client = MlflowClient(site.address)
    frozen = {str(trial.number): trial for trial in optuna_study(site.store, site.handle).get_trials()}
    (parent,) = [run for run in site.runs() if "mlflow.parentRunId" not in run.data.tags]
    trials = [run for run in site.runs() if run is not parent and run.info.run_id != parent.info.run_id]
    for run in trials:
        tags, trial = run.data.tags, frozen[run.data.tags["omad.trial"]]
        assert (run.info.run_name, tags["mlflow.parentRunId"]) == (
            f"trial {trial.number}",
            parent.info.run_id,
        )
        told = (tags["omad.task"], tags["omad.profile"], tags["omad.outcome"], tags["omad.device"])
        assert told == ("hopper", "smoke", "complete", "cpu")
        assert tags["omad.worker"].startswith(socket.gethostname())
        assert int(tags["omad.attempt"]) >= 1
        assert run.data.params == {name: str(value) for name, value in trial.params.items()}
        location = client.download_artifacts(run.info.run_id, "config.json", str(site.folder))
        config = json.loads(Path(location).read_text())
        assert config["env_steps"] == site.steps
        assert all(config[name] == value for name, value in trial.params.items())
    ranked = client.search_logged_models(
        [parent.info.experiment_id], order_by=[{"field_name": "metrics.score", "ascending": False}]
    )
    values = {run.info.run_id: frozen[run.data.tags["omad.trial"]].value or 0.0 for run in trials}
    assert [model.source_run_id for model in ranked] == sorted(values, key=lambda run: -values[run])
    champion = client.get_model_version_by_alias("omad-hopper", "champion")
    assert champion.run_id == ranked[0].source_run_id


def paces(site: ServerStudy, since_ms: float, until_ms: float) -> tuple[list[float], list[float]]:
    """Environment steps a second between two points of a curve: those out of the outage, and those in it."""
    client = MlflowClient(site.address)
    outside, inside = [], []
    for run in site.runs():
        points = sorted(client.get_metric_history(run.info.run_id, "train/alpha"), key=lambda p: p.step)
        for one, other in pairwise(points):
            seconds = (other.timestamp - one.timestamp) / 1000
            if seconds > 0 and other.step % 250:  # the others hold an evaluation
                rate = (other.step - one.step) / seconds
                if since_ms < one.timestamp and other.timestamp < until_ms:
                    inside.append(rate)
                elif other.timestamp < since_ms or one.timestamp > until_ms:
                    outside.append(rate)
    return outside, inside


@pytest.mark.slow  # what it proves is proved in every suite by test_chaos, with more harms
def test_an_outage_and_a_worker_killed_in_it_lose_and_double_nothing(
    site: Callable[..., ServerStudy],
) -> None:
    here = site(2, 750)
    first, _ = here.start_worker(), here.start_worker()
    here.wait_for(lambda: min(here.done()) > 200)
    here.kill_server()
    gone = here.done()
    here.wait_for(lambda: min(here.done()) > max(gone) + 100)
    first.send_signal(signal.SIGKILL)
    first.wait()
    here.start_server()
    here.start_worker()
    here.finish(180)
    assert_everything_once(here)
    assert_found_without_being_told(here)


@pytest.mark.slow
def test_what_was_finished_in_an_outage_is_sent_by_sync_after_its_worker_was_killed(
    site: Callable[..., ServerStudy],
) -> None:
    here = site(1, 500)
    worker = here.start_worker()
    here.wait_for(lambda: here.done()[0] > 100)
    here.kill_server()
    here.wait_for(lambda: here.rows()[0].outcome == "complete")
    assert not here.rows()[0].published
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    here.start_server()
    # Its worker is known to be dead on this machine; elsewhere its lease would have to run out.
    here.start_sync().wait(120)
    assert here.rows()[0].published, (here.folder / "worker.log").read_text()
    assert_everything_once(here)


@pytest.mark.slow
def test_training_keeps_its_pace_through_ten_minutes_without_the_server(
    site: Callable[..., ServerStudy],
) -> None:
    seconds = float(os.environ.get("OMAD_OUTAGE_SECONDS", "600"))
    steps = int(50 * seconds) // 250 * 250
    here = site(4, steps)
    for _ in range(2):
        here.start_worker()
    here.wait_for(lambda: sorted(here.done())[-2] > 600)
    marks = [here.spent()]
    time.sleep(seconds / 6)
    marks.append(here.spent())
    since = time.time() * 1000
    here.kill_server()
    time.sleep(seconds)
    marks.append(here.spent())
    until = time.time() * 1000
    here.start_server()
    here.start_worker()  # where the machine is so fast that training ended in the outage, it sends what was left
    here.finish(20 * seconds)
    assert_everything_once(here)
    outside, inside = paces(here, since, until)
    before, during = ((later[0] - earlier[0]) / (later[1] - earlier[1]) for earlier, later in pairwise(marks))
    sys.stderr.write(
        f"steps a second, median: {statistics.median(outside):.1f} with the server ({len(outside)} stretches), "
        f"{statistics.median(inside):.1f} without ({len(inside)}); "
        f"steps a second of a core: {before:.1f} with, {during:.1f} without\n"
    )
    # By the clock between two rows, as waiting would show; whoever else uses this machine shows there too.
    assert statistics.median(inside) > 0.8 * statistics.median(outside)
    # By the processor, as trying again and again would show; so do evaluations, longer as the policies learn.
    assert during > 0.7 * before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"a small file system needs root and the right to mount: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_ends_the_worker_and_leaves_its_trial_to_others(
    site: Callable[..., ServerStudy], small_disk: Path
) -> None:
    here = site(1, 600, max_attempts=1)
    assert here.start_worker(small_disk).wait(120) == 1
    (row,) = here.rows()
    assert (row.state, row.attempt, row.outcome) == ("open", 0, None)
    here.start_worker()
    here.finish(120)
    assert [row.outcome for row in here.rows()] == ["complete"]
