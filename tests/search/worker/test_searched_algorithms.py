"""A study whose trials are of different algorithms, trained by one worker."""

from pathlib import Path

from fake_tracker import FakeTracker

from omad_core.algorithms import ALGORITHMS
from omad_core.policy import Policy
from search.checkpoints.workdir import Workdir
from search.slots import budget
from search.slots.studies import create_study
from search.storage.store import open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.worker.context import WorkerLocation
from search.worker.worker import Worker
from tracking.tracker import ModelFiles

STUDY = f"""
extends = "hopper"
[space]
algorithm = {{ choices = {list(ALGORITHMS)} }}
[profile.smoke.train]
madpmd.candidates = 8
madpmd.states = 4
madpmd.chunk = 4
""".replace("'", '"')
TRAIN = {"env_steps": 60, "random_steps": 30, "log_every_steps": 30, "evaluation.every_steps": 30}


class Models(FakeTracker):
    """Notes whose policy each run's model is."""

    def __init__(self) -> None:
        self.algorithms: dict[str, object] = {}

    def publish_model(self, run_id: str, name: str, model: ModelFiles) -> str:
        assert model.metadata["algorithm"] == Policy.load(model.folder).notes["algorithm"]
        self.algorithms[run_id] = model.metadata["algorithm"]
        return super().publish_model(run_id, name, model)


def test_each_trial_trains_and_leaves_a_model_of_its_algorithm(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(STUDY)
    requested = StudyRequest(profile="smoke", numbers={"trials": len(ALGORITHMS)}, train=TRAIN)
    spec = catalog.build(catalog.find(str(tmp_path / "mine.toml")), requested, has_gpu=False)
    params = [{"algorithm": name} for name in ALGORITHMS]
    tracker = Models()
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, spec.name, len(params), spec.to_json(), params)
        Worker(store, handle, tracker, WorkerLocation(Workdir(tmp_path / "home"), pack=2)).run()
        rows = budget.rows(store, handle.study_id)
    assert [row.outcome for row in rows] == ["complete"] * len(params)
    assert [tracker.algorithms[str(row.mlflow_run_id)] for row in rows] == list(ALGORITHMS)
