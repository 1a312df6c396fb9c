"""What workers that are gone left: curves on this machine, runs that MLflow shows as running."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient

from search.checkpoints.workdir import Workdir
from search.recording.sync import SyncResult, sync_runs
from search.slots import lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.lease import CheckpointRef, Lease
from search.slots.studies import StudyHandle, create_study, optuna_study
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.request import StudyRequest
from tracking.mlflow.tracker import MlflowTracker
from tracking.row import Row
from tracking.spool.spool import Spool
from tracking.tracker import RunInfo

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@dataclass
class BegunStudy:
    """A study with trials that a worker began."""

    store: Store
    handle: StudyHandle
    tracker: MlflowTracker
    home: Workdir

    def begin(self, seconds: float = 60.0) -> Lease:
        """A claimed slot with a trial and a run."""
        lease = claim(self.store, self.handle.study_id, Claimant("elsewhere:1", seconds))
        assert lease is not None
        study = optuna_study(self.store, self.handle, optuna.samplers.RandomSampler(seed=0))
        lease, _ = trial_binding.bind(self.store, study, lease)
        info = RunInfo(f"trial {lease.number}", "hopper", self.handle.uid, lease.number)
        return lease_writes.bind_run(self.store, lease, self.tracker.open_run(info))

    def sync(self) -> SyncResult:
        return sync_runs(self.store, self.handle, self.tracker, self.home)

    def run(self, lease: Lease):
        return MlflowClient(self.tracker.address).get_run(lease.mlflow_run_id)


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[BegunStudy]:
    spec = catalog.build(
        catalog.find("hopper"),
        StudyRequest(profile="smoke", numbers={"trials": 3}, confirm=False),
        has_gpu=False,
    )
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, "hopper", spec.trials, spec.to_json())
        tracker = MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db")
        yield BegunStudy(store, handle, tracker, Workdir(tmp_path / "home"))


def test_a_run_whose_worker_died_is_killed_until_somebody_takes_it_up(begun: BegunStudy) -> None:
    lease = begun.begin(seconds=0.0)
    assert begun.sync().repaired == 1
    run = begun.run(lease)
    assert run.info.status == "KILLED"
    assert "the next one goes on from step 0" in run.data.tags["mlflow.note.content"]
    assert begun.sync() == SyncResult(0, 0)
    begun.tracker.resume_run(str(lease.mlflow_run_id))
    run = begun.run(lease)
    assert (run.info.status, run.data.tags["mlflow.note.content"]) == ("RUNNING", "")


def test_a_run_that_is_trained_is_left_alone(begun: BegunStudy) -> None:
    lease = begun.begin()
    assert begun.sync().repaired == 0
    assert begun.run(lease).info.status == "RUNNING"


def test_a_run_that_ended_without_mlflow_hearing_of_it_gets_its_true_status(begun: BegunStudy) -> None:
    lease = begun.begin()
    study = optuna_study(begun.store, begun.handle)
    lease = outcomes.finish(begun.store, study, lease, "pruned", 1.0, "pruned at step 300")
    assert begun.sync().repaired == 0, "who publishes it ends its run"
    lease_writes.publish(begun.store, lease)
    assert begun.sync().repaired == 1
    run = begun.run(lease)
    assert (run.info.status, run.data.tags["omad.reason"]) == ("KILLED", "pruned at step 300")


def test_a_run_that_lost_the_race_for_its_slot_is_deleted(begun: BegunStudy) -> None:
    lease = begun.begin()
    client = MlflowClient(begun.tracker.address)
    tags = begun.run(lease).data.tags
    other = client.create_run(begun.run(lease).info.experiment_id, tags=tags)
    for _ in range(2):
        begun.sync()
    assert client.get_run(other.info.run_id).info.lifecycle_stage == "deleted"
    assert begun.run(lease).info.lifecycle_stage == "active"


def train(begun: BegunStudy, lease: Lease) -> tuple[Lease, Spool]:
    """A curve of five rows on this machine, and two checkpoints, of which others can read the first."""
    spool = Spool(begun.home.slot("hopper", begun.handle.uid, lease.number) / "lease-00001")
    spool.append([Row(step, 1_000 + step, {"train/alpha": 1.0}) for step in range(10, 60, 10)])
    name = "lease-00001/checkpoint-{}.json"
    for step, uri in ((30, "runs:/run/checkpoints"), (40, None)):
        ref = CheckpointRef(step, name.format(step), "0", begun.home.name, uri)
        lease = lease_writes.record_checkpoint(begun.store, lease, ref)
    return lease, spool


def test_a_curve_left_here_is_sent_up_to_its_checkpoint_and_once(begun: BegunStudy) -> None:
    lease, _ = train(begun, begun.begin())
    assert begun.sync().rows == 0, "its worker sends it"
    lease_writes.release(begun.store, lease)
    # Not the row at the step of the checkpoint, which may have been written after it.
    assert [begun.sync().rows for _ in range(2)] == [2, 0]
    points = MlflowClient(begun.tracker.address).get_metric_history(str(lease.mlflow_run_id), "train/alpha")
    assert [point.step for point in points] == [10, 20]


def test_a_curve_is_sent_from_a_working_folder_that_was_moved(begun: BegunStudy, tmp_path: Path) -> None:
    lease, _ = train(begun, begun.begin())
    lease_writes.release(begun.store, lease)
    begun.home = Workdir(begun.home.root.rename(tmp_path / "moved"))
    assert [begun.sync().rows for _ in range(2)] == [2, 0]
    assert not (tmp_path / "home").exists()


def test_where_a_curve_does_not_lie_nothing_is_sent_or_made(begun: BegunStudy, tmp_path: Path) -> None:
    lease, _ = train(begun, begun.begin())
    lease_writes.release(begun.store, lease)
    begun.home = Workdir(tmp_path / "elsewhere")
    assert begun.sync().rows == 0
    assert not (tmp_path / "elsewhere").exists()


def test_a_damaged_curve_keeps_nothing_else_from_being_sent_and_repaired(
    begun: BegunStudy, caplog: pytest.LogCaptureFixture
) -> None:
    (damaged, spool), (whole, _) = train(begun, begun.begin()), train(begun, begun.begin())
    lines = spool.path.read_bytes().splitlines(keepends=True)
    spool.path.write_bytes(b"".join([lines[0], b"\x00\xff garbage\n", *lines[2:]]))
    for lease in (damaged, whole):
        lease_writes.release(begun.store, lease)
    assert begun.sync() == SyncResult(rows=2, repaired=2)
    assert [begun.run(lease).info.status for lease in (damaged, whole)] == ["KILLED", "KILLED"]
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said.startswith("slot 0: its curve cannot be sent: Line 2 of the curve")
