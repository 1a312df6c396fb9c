"""The study's own run: what is searched, how far it is, and the best value over time, each point once."""

from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient

from search.recording import study_run
from search.recording.study_run import Ending
from search.slots import outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.studies import StudyHandle, create_study, optuna_study
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.request import StudyRequest
from tracking.mlflow.tracker import MlflowTracker

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def _end(store: Store, handle: StudyHandle, outcome: str, value: float | None) -> None:
    lease = claim(store, handle.study_id, Claimant("test", 60.0))
    assert lease is not None
    study = optuna_study(store, handle, optuna.samplers.RandomSampler(seed=0))
    lease, _ = trial_binding.bind(store, study, lease)
    outcomes.finish(store, study, lease, outcome, value)


def test_the_best_value_is_told_by_the_number_of_ended_trials() -> None:
    ended = [
        Ending(10, 0, "pruned", 9.0),
        Ending(20, 2, "complete", 1.0),
        Ending(30, 1, "complete", 3.0),
        Ending(40, 3, "failed", None),
        Ending(50, 4, "complete", 2.0),
    ]
    rows = study_run.best_over_time(ended)
    assert [(row.step, row.time_ms, row.metrics[study_run.BEST]) for row in rows] == [
        (2, 20, 1.0),
        (3, 30, 3.0),
        (4, 40, 3.0),
        (5, 50, 3.0),
    ]
    assert study_run.progress(ended, 7) == "5 of 7 trials ended: 3 complete, 1 pruned, 1 failed"


def test_the_studys_run_says_what_is_searched_where_and_how_far_it_is(tmp_path: Path) -> None:
    spec = catalog.build(
        catalog.find("hopper"), StudyRequest(profile="smoke", numbers={"trials": 4}), has_gpu=False
    )
    tracker = MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db")
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, spec.name, spec.trials, spec.to_json(), [spec.defaults()])
        for outcome, value in (("complete", 1.0), ("complete", 3.0)):
            _end(store, handle, outcome, value)
            study_run.record(store, tracker, spec.name)
        _end(store, handle, "pruned", 8.0)
        for _ in range(2):
            study_run.record(store, tracker, spec.name)
    client = MlflowClient(tracker.address)
    experiment = client.get_experiment_by_name("hopper")
    assert experiment is not None
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    (run,) = client.search_runs([experiment.experiment_id])
    points = client.get_metric_history(run.info.run_id, study_run.BEST)
    assert [(p.step, p.value) for p in points] == [(1, 1.0), (2, 3.0), (3, 3.0)]
    assert run.data.tags["omad.progress"] == "3 of 4 trials ended: 2 complete, 1 pruned"
    assert run.data.tags["omad.storage"] == f"sqlite:///{tmp_path}/omad.db"
    assert run.data.params["space/critic.learning_rate"].endswith(", log")
    when = "(when entropy.mode = learned and algorithm = omad or gaussian)"
    assert run.data.params["space/entropy.target"] == f"1 to 8 {when}"
    assert "| `critic.learning_rate` |" in run.data.tags["mlflow.note.content"]
    base = "studies/_base.toml"
    overridden = f"- trials = 4 of options, instead of 2 of {base} [profile.smoke], 50 of {base}\n"
    assert overridden in run.data.tags["mlflow.note.content"]
