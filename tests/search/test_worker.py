"""Whole trials by real worker processes: killed, taken over, published, and the same as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from search import budget, catalog
from search.given import Given
from search.overview import parent_info
from search.storage import open_storage
from search.study import create_study, optuna_study
from tracking.mlflow_tracker import MlflowTracker

ROOT = Path(__file__).parents[2]
STEPS = 700


class Place:
    """A folder with a study in it, and workers on it."""

    def __init__(self, folder: Path, trials: int, seeds: int = 1) -> None:
        self.folder = folder
        self.storage, self.tracking = f"sqlite:///{folder / 'omad.db'}", f"sqlite:///{folder / 'mlflow.db'}"
        train = {"env_steps": STEPS, "log_every_steps": 50, "evaluation.every_steps": 100}
        numbers = {"trials": trials, "seeds": seeds, "checkpoint_seconds": 0.3}
        given = Given(profile="smoke", numbers=numbers, train=train)
        self.spec = catalog.build(catalog.find("hopper"), given, has_gpu=False)
        self.store = open_storage(self.storage, create=True)
        tracker = MlflowTracker(self.tracking)
        tracker.check()
        self.handle = create_study(self.store, "hopper", trials, self.spec.to_json(), [self.spec.defaults()])
        tracker.open_run(parent_info(self.spec, self.handle, self.store.address))
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "OMAD_STORAGE": self.storage,
            "MLFLOW_TRACKING_URI": self.tracking,
            "OMAD_HOME": str(self.folder / "home"),
        }
        command = [sys.executable, "-m", "cli.main", "worker", "hopper"]
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def finish(self, seconds: float = 120) -> None:
        for worker in self.workers:
            worker.wait(seconds)

    def rows(self):
        return budget.rows(self.store, self.handle.study_id)

    def wait_for(self, condition, seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not condition(self.rows()):
            assert time.monotonic() < end, (self.folder / "worker.log").read_text()
            time.sleep(0.02)

    def curves(self):
        """Of each trial's only run: metric -> [(step, value)], clocks left out."""
        client = MlflowClient(self.tracking)
        experiment = client.get_experiment_by_name("hopper")
        runs = client.search_runs([experiment.experiment_id], "tags.`omad.slot` != ''")
        found = {}
        for run in runs:
            number = run.data.tags["omad.trial"]
            assert number not in found, "two runs of one trial"
            names = [n for n in run.data.metrics if not n.startswith(("time/", "system/", "score"))]
            history = {n: client.get_metric_history(run.info.run_id, n) for n in names}
            found[number] = {n: [(p.step, p.value) for p in points] for n, points in history.items()}
            assert run.info.status == "FINISHED"
        return found


@pytest.fixture
def place(tmp_path):
    made = []

    def make(name: str, trials: int, seeds: int = 1) -> Place:
        folder = tmp_path / name
        folder.mkdir()
        made.append(Place(folder, trials, seeds))
        return made[-1]

    yield make
    for each in made:
        for worker in each.workers:
            worker.kill()
            worker.wait()
        each.store.close()


def assert_whole(place: Place, trials: int) -> None:
    rows = place.rows()
    assert [(r.state, r.outcome, r.published) for r in rows] == [("done", "complete", True)] * trials
    optuna_trials = optuna_study(place.store, place.handle).get_trials()
    assert [t.state.name for t in optuna_trials] == ["COMPLETE"] * trials
    assert [r.value for r in rows] == [
        pytest.approx(t.value) for t in sorted(optuna_trials, key=lambda t: t.number)
    ]


def test_a_killed_workers_trial_goes_on_and_ends_as_if_it_had_not_been_killed(place):
    calm, rough = place("calm", 2, seeds=2), place("rough", 2, seeds=2)
    calm.start().wait(120)
    first = rough.start()
    rough.wait_for(lambda rows: rows[1].checkpoints and rows[1].checkpoints[0].step > 200)
    first.send_signal(signal.SIGKILL)
    first.wait()
    begun = rough.rows()[1]
    rough.start()
    rough.finish()
    assert_whole(calm, 2)
    assert_whole(rough, 2)
    assert rough.rows()[1].mlflow_run_id == begun.mlflow_run_id or begun.mlflow_run_id is None
    expected, found = calm.curves(), rough.curves()
    assert found.keys() == expected.keys()
    for trial in expected:
        assert found[trial] == expected[trial]
        steps = [step for step, _ in found[trial]["train/alpha"]]
        assert steps == list(range(150, STEPS + 1, 50))
    assert not list((rough.folder / "home").rglob("*.safetensors")), (
        "checkpoints of published trials are deleted"
    )
    assert "from step" in (rough.folder / "worker.log").read_text()


def test_a_worker_told_to_stop_hands_its_trial_on_at_once(place):
    study = place("study", 1)
    worker = study.start()
    study.wait_for(lambda rows: rows[0].progress.get("step", 0) > 150)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    (row,) = study.rows()
    assert (row.state, row.attempt) == ("open", 0)
    assert row.checkpoints[0].step > 150
    study.start()
    study.finish()
    assert_whole(study, 1)
    assert row.checkpoints[0].step > 0


def test_the_models_load_where_pickles_are_forbidden_and_act(place, monkeypatch):
    study = place("study", 1)
    study.start()
    study.finish()
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", study.tracking)
    (run,) = [r.mlflow_run_id for r in study.rows()]
    tracker = MlflowTracker(study.tracking)
    model = mlflow.pyfunc.load_model(tracker.model_of(run))
    obs = np.random.default_rng(0).normal(size=(4, 25)).astype(np.float32)
    actions = model.predict(obs)
    assert actions.shape == (4, 3)
    assert (np.abs(actions) <= 1).all()
    repeatable = {"seed": 3}
    np.testing.assert_array_equal(
        model.predict(obs, params=repeatable), model.predict(obs, params=repeatable)
    )
    still = {"deterministic": True}
    np.testing.assert_array_equal(model.predict(obs, params=still), model.predict(obs, params=still))
    champion = mlflow.pyfunc.load_model("models:/omad-hopper@champion")
    assert champion.predict(obs).shape == (4, 3)
    assert model.metadata.metadata["observation_widths"] == [8, 9, 8]
