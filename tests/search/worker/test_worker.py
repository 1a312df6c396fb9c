"""Whole trials by real worker processes: killed, taken over, published, and the same as if nothing had happened."""

import os
import signal

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from search.slots.study import optuna_study
from tracking.mlflow_tracker import MlflowTracker

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def assert_whole(place, trials) -> None:
    rows = place.rows()
    assert [(r.state, r.outcome, r.published) for r in rows] == [("done", "complete", True)] * trials
    optuna_trials = optuna_study(place.store, place.handle).get_trials()
    assert [t.state.name for t in optuna_trials] == ["COMPLETE"] * trials
    assert [r.value for r in rows] == [
        pytest.approx(t.value) for t in sorted(optuna_trials, key=lambda t: t.number)
    ]


def test_a_killed_workers_trial_goes_on_and_ends_as_if_it_had_not_been_killed(place, work_here):
    calm, rough = place("calm", 2, seeds=2), place("rough", 2, seeds=2)
    work_here(calm, "home")
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
        assert steps == list(range(150, calm.steps + 1, 50))
    assert not list((rough.folder / "home").rglob("*.safetensors")), (
        "checkpoints of published trials are deleted"
    )
    assert "from step" in (rough.folder / "worker.log").read_text()
    assert_machine_is_shown(rough)


def assert_machine_is_shown(study) -> None:
    """What a worker's processor and memory did while it trained the study's first trial, in its run."""
    client, run = MlflowClient(study.tracking), study.rows()[0].mlflow_run_id
    shares = ("system/cpu_percent", "system/process_cpu_percent", "system/memory_percent")
    for name in (*shares, "system/process_memory_mb"):
        points = client.get_metric_history(run, name)
        assert points, name
        assert len({point.step for point in points}) == len(points), name
        assert all(point.value >= 0 for point in points), name
    assert client.get_run(run).data.metrics["system/process_memory_mb"] > 100, "torch alone takes as much"
    assert client.get_run(run).data.metrics["system/process_cpu_percent"] > 0


def test_a_worker_told_to_stop_hands_its_trial_on_at_once_and_the_model_loads(place, work_here, monkeypatch):
    study = place("study", 1)
    worker = study.start()
    study.wait_for(lambda rows: rows[0].progress.get("step", 0) > 150)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    (row,) = study.rows()
    assert (row.state, row.attempt) == ("open", 0)
    assert row.checkpoints[0].step > 150
    work_here(study, "home")
    assert_whole(study, 1)
    assert_model_acts(study, monkeypatch)


def assert_model_acts(study, monkeypatch) -> None:
    """It loads where pickles are forbidden, by its own name and as the champion."""
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


def test_a_worker_that_starts_again_in_an_outage_trains(place, monkeypatch):
    study = place("study", 1)
    study.tracking = "http://127.0.0.1:9"  # nobody listens there
    monkeypatch.setenv("OMAD_SUPERVISED_BY", str(os.getpid()))
    study.start()
    study.wait_for(lambda rows: rows[0].checkpoints and rows[0].progress.get("step", 0) > 100)
