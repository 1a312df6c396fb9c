"""What workers that are gone left: curves on this machine, runs that MLflow shows as running."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient

from search.records.home import Home
from search.records.syncing import Synced, sync_runs
from search.slots import binding, endings, slots
from search.slots.claim import Claimant, claim
from search.slots.lease import CheckpointRef, Lease
from search.slots.study import StudyHandle, create_study, optuna_study
from search.spec import catalog
from search.spec.given import Given
from search.storage.store import Store, open_storage
from tracking.mlflow_tracker import MlflowTracker
from tracking.point import Row
from tracking.spool import Spool
from tracking.tracker import RunInfo

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@dataclass
class Scene:
    """A study with trials that somebody began."""

    store: Store
    handle: StudyHandle
    tracker: MlflowTracker
    home: Home

    def begin(self, seconds: float = 60.0) -> Lease:
        """A claimed slot with a trial and a run."""
        lease = claim(self.store, self.handle.study_id, Claimant("elsewhere:1", seconds))
        assert lease is not None
        study = optuna_study(self.store, self.handle, optuna.samplers.RandomSampler(seed=0))
        lease, _ = binding.bind(self.store, study, lease)
        info = RunInfo(f"trial {lease.number}", "hopper", self.handle.uid, lease.number)
        return slots.bind_run(self.store, lease, self.tracker.open_run(info))

    def sync(self) -> Synced:
        return sync_runs(self.store, self.handle, self.tracker, self.home)

    def run(self, lease: Lease):
        return MlflowClient(self.tracker.address).get_run(lease.mlflow_run_id)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    spec = catalog.build(catalog.find("hopper"), Given(profile="smoke", numbers={"trials": 3}), has_gpu=False)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, "hopper", spec.trials, spec.to_json())
        tracker = MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db")
        yield Scene(store, handle, tracker, Home(tmp_path / "home"))


def test_a_run_whose_worker_died_is_killed_until_somebody_takes_it_up(scene: Scene) -> None:
    lease = scene.begin(seconds=0.0)
    assert scene.sync().repaired == 1
    run = scene.run(lease)
    assert run.info.status == "KILLED"
    assert "the next one goes on from step 0" in run.data.tags["mlflow.note.content"]
    assert scene.sync() == Synced(0, 0)
    scene.tracker.resume_run(str(lease.mlflow_run_id))
    run = scene.run(lease)
    assert (run.info.status, run.data.tags["mlflow.note.content"]) == ("RUNNING", "")


def test_a_run_that_is_trained_is_left_alone(scene: Scene) -> None:
    lease = scene.begin()
    assert scene.sync().repaired == 0
    assert scene.run(lease).info.status == "RUNNING"


def test_a_run_that_ended_without_mlflow_hearing_of_it_gets_its_true_status(scene: Scene) -> None:
    lease = scene.begin()
    study = optuna_study(scene.store, scene.handle)
    lease = endings.finish(scene.store, study, lease, "pruned", 1.0, "pruned at step 300")
    assert scene.sync().repaired == 0, "who publishes it ends its run"
    slots.publish(scene.store, lease)
    assert scene.sync().repaired == 1
    run = scene.run(lease)
    assert (run.info.status, run.data.tags["omad.reason"]) == ("KILLED", "pruned at step 300")


def test_a_run_that_lost_the_race_for_its_slot_is_deleted(scene: Scene) -> None:
    lease = scene.begin()
    client = MlflowClient(scene.tracker.address)
    tags = scene.run(lease).data.tags
    other = client.create_run(scene.run(lease).info.experiment_id, tags=tags)
    for _ in range(2):
        scene.sync()
    assert client.get_run(other.info.run_id).info.lifecycle_stage == "deleted"
    assert scene.run(lease).info.lifecycle_stage == "active"


def train(scene: Scene, lease: Lease) -> tuple[Lease, Spool]:
    """A curve of five rows on this machine, and two checkpoints, of which others can read the first."""
    spool = Spool(scene.home.slot("hopper", scene.handle.uid, lease.number) / "lease-00001")
    spool.append([Row(step, 1_000 + step, {"train/alpha": 1.0}) for step in range(10, 60, 10)])
    name = "lease-00001/checkpoint-{}.json"
    for step, uri in ((30, "runs:/run/checkpoints"), (40, None)):
        ref = CheckpointRef(step, name.format(step), "0", scene.home.name, uri)
        lease = slots.record_checkpoint(scene.store, lease, ref)
    return lease, spool


def test_a_curve_left_here_is_sent_up_to_its_checkpoint_and_once(scene: Scene) -> None:
    lease, _ = train(scene, scene.begin())
    assert scene.sync().rows == 0, "its worker sends it"
    slots.release(scene.store, lease)
    # Not the row at the step of the checkpoint, which may have been written after it.
    assert [scene.sync().rows for _ in range(2)] == [2, 0]
    points = MlflowClient(scene.tracker.address).get_metric_history(str(lease.mlflow_run_id), "train/alpha")
    assert [point.step for point in points] == [10, 20]


def test_a_damaged_curve_keeps_nothing_else_from_being_sent_and_repaired(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    (damaged, spool), (whole, _) = train(scene, scene.begin()), train(scene, scene.begin())
    lines = spool.path.read_bytes().splitlines(keepends=True)
    spool.path.write_bytes(b"".join([lines[0], b"\x00\xff garbage\n", *lines[2:]]))
    for lease in (damaged, whole):
        slots.release(scene.store, lease)
    assert scene.sync() == Synced(rows=2, repaired=2)
    assert [scene.run(lease).info.status for lease in (damaged, whole)] == ["KILLED", "KILLED"]
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said.startswith("slot 0: its curve cannot be sent: Line 2 of the curve")
