"""Whole trials by real worker processes: killed, taken over, published, and the same as if nothing had happened."""

import os
import signal

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from search.history import attempts, evaluations
from search.reports.curves import curves as all_curves
from search.slots.keys import COST, UPDATES
from search.slots.studies import optuna_study
from search.worker.trial_runner import COST_METRIC
from tracking.mlflow.tracker import MlflowTracker

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def assert_whole(location, trials) -> None:
    rows = location.rows()
    assert [(r.state, r.outcome, r.published) for r in rows] == [("done", "complete", True)] * trials
    optuna_trials = optuna_study(location.store, location.handle).get_trials()
    assert [t.state.name for t in optuna_trials] == ["COMPLETE"] * trials
    assert [r.value for r in rows] == [
        pytest.approx(t.value) for t in sorted(optuna_trials, key=lambda t: t.number)
    ]


def test_a_killed_workers_trial_goes_on_and_ends_as_if_it_had_not_been_killed(location, work_here):
    calm, rough = location("calm", 2, seeds=2), location("rough", 2, seeds=2)
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
    assert_cost_goes_on(rough)
    assert_history(calm, rough)


def assert_cost_goes_on(study) -> None:
    """Processor seconds grow over the curve, through the takeover too, and end on the slot beside the updates."""
    client, row = MlflowClient(study.tracking), study.rows()[1]
    points = sorted(client.get_metric_history(row.mlflow_run_id, COST_METRIC), key=lambda point: point.step)
    values = [point.value for point in points]
    assert values[0] > 0.0
    assert values == sorted(values)
    assert row.progress[COST] >= values[-1]
    assert row.progress[UPDATES] == study.steps - 100, "one a step, after the random ones"


def assert_history(calm, rough) -> None:
    """Each evaluation once and the same in both; attempts that say which worker was killed."""
    returns = [
        [(e.seed, e.step, e.returns) for e in evaluations.read(each.store, each.handle.study_id)]
        for each in (calm, rough)
    ]
    assert returns[0] == returns[1]
    steps = [step for seed, step, _ in returns[0] if seed == 0]
    assert len(returns[0]) == 2 * len(steps) > 0
    ends = [[a.end for a in attempts.read(each.store, each.handle.study_id)] for each in (calm, rough)]
    assert ends == [["complete"] * 2, ["complete", "lost", "complete"]]
    curves = list(all_curves(rough.store, rough.handle))
    assert [(each["trial"], each["seed"], each["outcome"]) for each in curves] == [
        (trial, seed, "complete") for trial in range(2) for seed in range(2)
    ]
    for each in curves:
        taken = [row["seconds"] for row in each["evaluations"]]
        assert taken == sorted(taken)
        assert each["seconds"] == taken[-1] > 0
        assert each["configuration"]["env_steps"] == rough.steps


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


def test_a_worker_told_to_stop_hands_its_trial_on_at_once_and_the_model_loads(
    location, work_here, monkeypatch
):
    study = location("study", 1)
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


def test_a_worker_that_starts_again_in_an_outage_trains(location, monkeypatch):
    study = location("study", 1)
    study.tracking = "http://127.0.0.1:9"  # nobody listens there
    monkeypatch.setenv("OMAD_SUPERVISED_BY", str(os.getpid()))
    study.start()
    study.wait_for(lambda rows: rows[0].checkpoints and rows[0].progress.get("step", 0) > 100)
