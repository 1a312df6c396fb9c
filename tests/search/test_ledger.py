"""The ledger: what several threads learn of one lease is all kept; leases live by progress alone."""

import dataclasses
import threading
import time

import pytest

from search import budget
from search.claim import claim
from search.home import Home
from search.keeping import Keeper
from search.lease import CheckpointRef
from search.ledger import Ledger
from search.storage import open_storage
from search.study import create_study


@pytest.fixture
def held(tmp_path):
    with open_storage(f"sqlite:///{tmp_path / 'omad.db'}", create=True) as store:
        handle = create_study(store, "study", 1, "{}")
        ledger = Ledger(store, 1.0)
        lease = claim(store, handle.study_id, "worker", 1.0)
        yield store, handle, ledger, ledger.hold(lease, {"step": 7})
        ledger.close()


def test_news_of_other_threads_survive_a_slow_write(held):
    _, _, ledger, hold = held
    begun, go = threading.Event(), threading.Event()

    def write(lease):
        begun.set()
        go.wait(5)
        return dataclasses.replace(lease, checkpoints=(CheckpointRef(5, "n", "d", "h"),), attempt=0)

    ledger.submit(hold, write)
    assert begun.wait(5)
    hold.change(outcome="complete", value=1.0, mlflow_run_id="run")
    go.set()
    assert ledger.drain(5)
    lease = hold.lease
    assert (lease.outcome, lease.value, lease.mlflow_run_id) == ("complete", 1.0, "run")
    assert lease.checkpoints[0].step == 5


def test_first_progress_is_shown_at_once_and_silence_loses_the_lease(held):
    store, handle, _, hold = held
    end = time.monotonic() + 5
    while budget.rows(store, handle.study_id)[0].progress.get("step") != 7:
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(4.0)
    assert budget.rows(store, handle.study_id)[0].expires_in < 0
    assert hold.lost is None


def test_a_told_trial_keeps_its_lease(held):
    store, handle, ledger, hold = held
    for _ in range(25):
        ledger.tell(hold, {"step": 8})
        time.sleep(0.1)
    assert budget.rows(store, handle.study_id)[0].expires_in > 0


def test_deleting_old_checkpoints_spares_the_one_being_written(tmp_path, monkeypatch):
    from omad_core import checkpoint
    from omad_core.checkpoint import Written

    keeper = Keeper(tmp_path, 1, Home(tmp_path / "home"))
    halfway, go = threading.Event(), threading.Event()
    number = iter(range(1, 9))

    def slow_write(root, states, extra, previous):
        n = next(number)
        (root / "replay").mkdir(parents=True, exist_ok=True)
        (root / "replay" / f"{n}").write_bytes(b"rows")
        if n == 2:
            halfway.set()
            go.wait(5)
        return Written(f"step-{n}/manifest.json", n, "d", {f"replay/{n}": "s"}, ((n, 0),), ((),))

    monkeypatch.setattr(checkpoint, "write", slow_write)
    first = keeper.write([], b"")
    writer = threading.Thread(target=lambda: keeper.write([], b""))
    writer.start()
    assert halfway.wait(5)
    lease = type("L", (), {"checkpoints": (first,)})()
    pruner = threading.Thread(target=keeper.recorded, args=(first, lease))
    pruner.start()
    time.sleep(0.2)
    go.set()
    writer.join()
    pruner.join()
    assert sorted(p.name for p in (keeper.root / "replay").iterdir()) == ["1", "2"]
