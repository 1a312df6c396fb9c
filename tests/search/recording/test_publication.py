"""The champion is the best, whoever publishes at the same time."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from fake_tracker import FakeTracker

from search.checkpoints.workdir import Workdir
from search.recording.publication import Result, publish
from search.recording.slot_run import SlotRun
from search.slots import budget, lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim, claim_unpublished
from search.slots.lease import Lease, Outcome
from search.slots.lease_keeper import HeldLease
from search.slots.studies import StudyHandle, create_study, optuna_study
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.worker.context import WorkerContext, WorkerLocation
from search.worker.publisher import Publisher
from search.worker.worker import Worker
from tracking.errors import TrackingRefused, TrackingUnavailable
from tracking.spool.spool import Spool
from tracking.tracker import ModelFiles, RunInfo, RunStatus

SPEC = catalog.build(
    catalog.find("hopper"), StudyRequest(profile="smoke", numbers={"trials": 3}), has_gpu=False
)


class Registry(FakeTracker):
    """Remembers models and the champion; `meanwhile` happens just before the next champion is written."""

    def __init__(self) -> None:
        self.models: dict[str, str] = {}
        self.champion = ""
        self.meanwhile: Callable[[], object] = lambda: None

    def publish_model(self, run_id: str, name: str, model: ModelFiles) -> str:
        self.models[run_id] = f"models:/m-{run_id}"
        return self.models[run_id]

    def model_of(self, run_id: str) -> str | None:
        return self.models.get(run_id)

    def register_champion(self, model_uri: str, name: str, card: str | None) -> str:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        self.champion = model_uri
        return f"models:/{name}@champion"


def _end(store: Store, handle: StudyHandle, value: float, outcome: Outcome = "complete") -> Lease:
    """An ended trial, not published yet."""
    lease = claim(store, handle.study_id, Claimant("test", 60.0))
    assert lease is not None
    study = optuna_study(store, handle, optuna.samplers.RandomSampler(seed=0))
    lease, _ = trial_binding.bind(store, study, lease)
    lease = lease_writes.bind_run(store, lease, f"run-{lease.number}")
    return outcomes.finish(store, study, lease, outcome, value)


def _run(context: WorkerContext, held: HeldLease, spool: Spool) -> SlotRun:
    info = RunInfo(f"trial {held.lease.number}", "hopper", slot=held.lease.number)
    return SlotRun(context, held, context.parent, info, spool)


@pytest.fixture
def publisher(policy_folder: Callable[[str], Path], tmp_path: Path):
    """Ends a trial with a value and, when called, publishes it, as a worker of its own."""
    model, registry, contexts = policy_folder("hopper"), Registry(), []
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, "hopper", 3, SPEC.to_json(), [SPEC.defaults()])

        def end(value: float) -> Callable[[], object]:
            lease = _end(store, handle, value)
            context = WorkerContext(store, handle, registry, WorkerLocation(Workdir(tmp_path)), 5.0)
            contexts.append(context)
            spool = Spool(tmp_path / f"spool-{lease.number}")
            result = Result(SPEC, lease.number, {}, model, 700, spool)
            run = _run(context, context.lease_keeper.hold(lease), spool)
            return lambda: publish(context, lease, run, result, tmp_path / "gone")

        yield registry, end
        for context in contexts:
            context.close()


def test_the_best_is_champion_in_whatever_order_they_are_published(publisher) -> None:
    registry, end = publisher
    end(2.0)()
    assert registry.champion == "models:/m-run-0"
    better, worse = end(3.0), end(1.0)
    worse()
    assert registry.champion == "models:/m-run-0"
    better()
    assert registry.champion == "models:/m-run-1"


def test_a_better_one_that_is_crowned_meanwhile_stays_champion(publisher) -> None:
    registry, end = publisher
    registry.meanwhile = lambda: end(3.0)()
    end(2.0)()
    assert registry.models.keys() == {"run-0", "run-1"}
    assert registry.champion == "models:/m-run-1"


def test_a_better_one_that_is_not_stored_yet_crowns_itself_later(publisher) -> None:
    registry, end = publisher
    later = []
    registry.meanwhile = lambda: later.append(end(3.0))
    end(2.0)()
    assert registry.champion == "models:/m-run-0"
    later[0]()
    assert registry.champion == "models:/m-run-1"


class Refusing(FakeTracker):
    """Takes everything but models."""

    def publish_model(self, run_id: str, name: str, model: ModelFiles) -> str:
        raise TrackingRefused("no models here")


def test_what_a_worker_cannot_publish_is_left_to_others_while_it_lives(
    policy_folder: Callable[[str], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = replace(SPEC, lease_seconds=1.0)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, "hopper", 3, spec.to_json(), [spec.defaults()])
        context = WorkerContext(store, handle, Refusing(), WorkerLocation(Workdir(tmp_path / "home")), 5.0)
        lease = _end(store, handle, 3.0)
        hold, publisher = context.lease_keeper.hold(lease), Publisher(context)
        spool = Spool(tmp_path / "spool")
        result = Result(spec, lease.number, {}, policy_folder("hopper"), 700, spool)
        publisher.submit(hold, _run(context, hold, spool), result)
        assert context.sender.drain(10)
        (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
        assert "no models here" in line
        end, other = time.monotonic() + 10, None
        while other is None and time.monotonic() < end:
            publisher.keep()
            time.sleep(0.1)
            other = claim_unpublished(store, handle.study_id, Claimant("another", 60.0))
        context.close()
    assert other is not None
    assert other.number == lease.number


class Moody(FakeTracker):
    """Ends no run as long as something is wrong with it."""

    wrong: Exception | None = None

    def resume_run(self, run_id: str) -> None:
        if isinstance(self.wrong, TrackingUnavailable):
            raise self.wrong

    def end_run(self, run_id: str, status: RunStatus, reason: str = "") -> None:
        if self.wrong is not None:
            raise self.wrong


@pytest.fixture
def left(tmp_path: Path):
    """A study of one trial, which has ended and is not published: its store, handle, and a maker of workers."""
    spec = replace(SPEC, trials=1)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, "hopper", 1, spec.to_json(), [spec.defaults()])
        lease_writes.release(store, _end(store, handle, 3.0, "pruned"))
        tracker = Moody()
        yield (
            store,
            handle,
            tracker,
            lambda: Worker(store, handle, tracker, WorkerLocation(Workdir(tmp_path / "home")), 5.0),
        )


@pytest.mark.parametrize(
    "wrong", [TrackingRefused("the disk of the server is full"), TrackingUnavailable("away")]
)
def test_what_many_workers_could_not_publish_is_published_when_it_can_be(left, wrong: Exception) -> None:
    store, handle, tracker, worker = left
    tracker.wrong = wrong
    for _ in range(SPEC.max_attempts + 1):
        worker().run()
        assert budget.counts(store, handle.study_id).unpublished == 1
    tracker.wrong = None
    worker().run()
    assert budget.counts(store, handle.study_id).unpublished == 0


def test_catching_up_by_hand_publishes_also_what_killed_its_publishers(left) -> None:
    store, handle, _, worker = left
    with store.write() as connection:
        connection.exec_driver_sql(f"UPDATE omad_slot SET attempt = {SPEC.max_attempts}")
    worker().run()
    assert budget.counts(store, handle.study_id).unpublished == 1
    worker().catch_up()
    assert budget.counts(store, handle.study_id).unpublished == 0
