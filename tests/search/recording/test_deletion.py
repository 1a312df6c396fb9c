"""What a person deletes in MLflow stops nothing: results get new runs, and none is left unpublished."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient

from cli.setup.creation import open_for_running
from search.checkpoints.workdir import Workdir
from search.recording.slot_run import SlotRun
from search.recording.study_run import parent_info, record
from search.recording.tracking_store import ensure_recorded
from search.slots import budget, lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.lease import Lease
from search.slots.studies import StudyHandle, create_study, list_studies, open_study, optuna_study
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.worker.context import WorkerContext, WorkerLocation
from search.worker.worker import Worker
from tracking.errors import TrackingRefused
from tracking.mlflow.tracker import MlflowTracker
from tracking.row import Row
from tracking.sender import send_curve
from tracking.spool.spool import Spool
from tracking.tracker import RunInfo

# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
REQUESTED = StudyRequest("hopper", "smoke", {"trials": 1})
SPEC = catalog.build(catalog.find("hopper"), REQUESTED, has_gpu=False)


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowTracker(f"sqlite:///{file}").check()
    return file


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tracker(empty_database: Path, tmp_path: Path) -> MlflowTracker:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        yield store


@pytest.fixture
def handle(store: Store, tracker: MlflowTracker) -> StudyHandle:
    return ensure_recorded(
        store, create_study(store, "hopper", 1, SPEC.to_json(), [SPEC.defaults()]), tracker
    )


@pytest.fixture
def context(
    store: Store, handle: StudyHandle, tracker: MlflowTracker, tmp_path: Path
) -> Iterator[WorkerContext]:
    context = WorkerContext(store, handle, tracker, WorkerLocation(Workdir(tmp_path / "home")), 5.0)
    yield context
    context.close()


@pytest.fixture
def client(tracker: MlflowTracker) -> MlflowClient:
    return MlflowClient(tracker.address)


def _claim(context: WorkerContext) -> tuple[Lease, Any]:
    lease = claim(context.store, context.handle.study_id, Claimant("test", 60.0))
    assert lease is not None
    study = optuna_study(context.store, context.handle, optuna.samplers.RandomSampler(seed=0))
    return trial_binding.bind(context.store, study, lease)[0], study


def _slot_run(context: WorkerContext, lease: Lease, spool: Spool) -> SlotRun:
    info = RunInfo("trial 0", "hopper", study_id=context.handle.uid, slot=0, tags={"omad.task": "hopper"})
    return SlotRun(context, context.lease_keeper.hold(lease), context.parent, info, spool)


def _steps(client: MlflowClient, run_id: str) -> list[int]:
    return [point.step for point in client.get_metric_history(run_id, "eval/return_mean")]


def test_a_run_that_is_deleted_while_its_trial_trains_is_made_again_with_the_whole_curve(
    context: WorkerContext, tracker: MlflowTracker, client: MlflowClient, tmp_path: Path
) -> None:
    lease, _ = _claim(context)
    spool = Spool(tmp_path / "spool")
    run = _slot_run(context, lease, spool)
    old = run.open()
    for step in (100, 200):
        spool.append([Row(step, step, {"eval/return_mean": 1.0})])
        run.write(lambda run_id: send_curve(spool, tracker, run_id, 1_000))
        if step == 100:
            client.delete_run(old)
    new = run.open()
    assert new != old
    assert _steps(client, new) == [100, 200]
    (slot,) = budget.rows(context.store, context.handle.study_id)
    assert slot.mlflow_run_id == new
    assert client.get_run(new).data.tags["omad.task"] == "hopper"
    assert client.get_run(old).info.lifecycle_stage == "deleted"


@pytest.mark.parametrize("deleted", ["trial", "study", "both"])
def test_a_result_whose_run_was_deleted_before_it_was_published_is_published(
    context: WorkerContext, tracker: MlflowTracker, client: MlflowClient, tmp_path: Path, deleted: str
) -> None:
    store, handle = context.store, context.handle
    lease, study = _claim(context)
    run_id = _slot_run(context, lease, Spool(tmp_path / "spool")).open()
    lease = outcomes.finish(store, study, lease, "pruned", 3.0, "pruned at step 300")
    lease_writes.release(store, lease)
    if deleted != "study":
        client.delete_run(run_id)
    if deleted != "trial":
        client.delete_run(handle.tracking_run)
    Worker(store, handle, tracker, WorkerLocation(Workdir(tmp_path / "home")), 5.0).catch_up()
    assert budget.counts(store, handle.study_id).unpublished == 0
    (slot,) = budget.rows(store, handle.study_id)
    trial = client.get_run(slot.mlflow_run_id)
    assert trial.data.tags["omad.outcome"] == "pruned"
    parent = client.get_run(trial.data.tags["mlflow.parentRunId"])
    assert [parent.info.lifecycle_stage, trial.info.lifecycle_stage] == ["active", "active"]
    assert parent.data.tags["omad.progress"] == "1 of 1 trial ended: 1 pruned"


def test_a_deleted_experiment_is_seen_before_a_study_is_made(
    store: Store, tracker: MlflowTracker, client: MlflowClient
) -> None:
    client.delete_experiment(client.create_experiment("hopper"))
    with pytest.raises(TrackingRefused, match="mlflow experiments restore -x 1"):
        open_for_running(store, tracker, SPEC, REQUESTED)
    assert list_studies(store) == []
    client.restore_experiment("1")
    assert open_for_running(store, tracker, SPEC, REQUESTED).created


def test_an_experiment_that_is_deleted_later_stops_its_study_with_the_way_back(
    context: WorkerContext, tracker: MlflowTracker, client: MlflowClient, tmp_path: Path
) -> None:
    store, handle = context.store, context.handle
    lease, _ = _claim(context)
    run = _slot_run(context, lease, Spool(tmp_path / "spool"))
    run_id, experiment = run.open(), client.get_experiment_by_name("hopper")
    client.delete_experiment(experiment.experiment_id)
    for write in (
        lambda: run.write(lambda run_id: tracker.set_tags(run_id, {"omad.trial": "0"})),
        lambda: record(store, tracker, "hopper"),
        lambda: ensure_recorded(store, handle, tracker),
    ):
        with pytest.raises(
            TrackingRefused, match=f"mlflow experiments restore -x {experiment.experiment_id}"
        ):
            write()
    client.restore_experiment(experiment.experiment_id)
    assert ensure_recorded(store, handle, tracker) == handle
    run.write(lambda run_id: tracker.set_tags(run_id, {"omad.trial": "0"}))
    assert run.open() == run_id


def test_a_study_whose_own_run_is_deleted_for_good_is_known_by_its_trials(
    context: WorkerContext, tracker: MlflowTracker, client: MlflowClient, tmp_path: Path
) -> None:
    store, handle = context.store, context.handle
    lease, _ = _claim(context)
    _slot_run(context, lease, Spool(tmp_path / "spool")).open()
    client.delete_run(handle.tracking_run)
    client._tracking_client.store._hard_delete_run(handle.tracking_run)
    assert ensure_recorded(store, handle, tracker) == open_study(store, "hopper")
    assert tracker.open_run(parent_info(SPEC, handle, store.address)) != handle.tracking_run
