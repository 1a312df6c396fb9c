"""A study on its way: nobody works at it or steers it, and it ends up in one place, whoever is killed when."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_tracker import FakeTracker

from cli.main import main
from cli.setup.creation import join, open_for_running
from search.errors import SpecConflict
from search.slots import budget, lease_writes, liveness, outcomes, trial_binding
from search.slots import claim as claiming
from search.slots.claim import Claimant, claim, claim_unpublished, read_desired_state
from search.slots.keys import ARRIVING, MOVING
from search.slots.studies import StudyHandle, create_study, open_study, optuna_study
from search.steering import commands, move, move_guard
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.request import StudyRequest
from tracking.mlflow.tracker import MlflowTracker
from tracking.tracker import RunInfo

ROOT = Path(__file__).parents[3]
GIVEN = StudyRequest(task="hopper", profile="smoke", numbers={"trials": 3})
SPEC = catalog.build(catalog.find("hopper"), GIVEN, has_gpu=False)

Storages = tuple[Store, Store]


@pytest.fixture(params=["sqlite", "postgresql"])
def storages(request: pytest.FixtureRequest, new_url: Callable[[str], str]) -> Iterator[Storages]:
    """The one a study `hopper` of three trials is in, and an empty one."""
    first, second = (new_url(request.param) for _ in range(2))
    with open_storage(first, create=True) as old, open_storage(second, create=True) as new:
        create_study(old, "hopper", 3, SPEC.to_json(), [SPEC.defaults()])
        yield old, new


def fail(store: Store) -> None:
    """One trial that fails for good, and is not published."""
    handle = open_study(store, "hopper")
    lease = claim(store, handle.study_id, Claimant("worker", 60.0))
    assert lease is not None
    study = optuna_study(store, handle)
    lease, _ = trial_binding.bind(store, study, lease)
    assert outcomes.fail(store, study, lease, "out of memory", max_attempts=1, seconds=0.0) is not None


def every_wish(store: Store) -> list[Callable[[], object]]:
    """All that somebody may ask of a study, with what is read of it only now."""

    def handle() -> StudyHandle:
        return open_study(store, "hopper")

    return [
        lambda: open_for_running(store, FakeTracker(), SPEC, GIVEN),
        lambda: join(store, "hopper", StudyRequest(), FakeTracker()),
        *(
            lambda wish=wish: commands.want(store, handle(), wish)
            for wish in ("running", "paused", "stopping")
        ),
        lambda: commands.extend(store, handle(), "+1"),
        lambda: commands.retry(store, handle(), None),
    ]


def refusals(store: Store) -> list[str]:
    said = []
    for wish in every_wish(store):
        with pytest.raises(SpecConflict) as refused:
            wish()
        said.append(str(refused.value))
    return said


def killed_move(old: Store, new: Store, moment: str) -> None:
    """A move by a process that is killed when it calls this function of `moving`."""
    code = (
        "import os, sys; from search.steering import move as moving; from search.slots.studies import open_study\n"
        "from search.storage.store import open_storage\n"
        f"assert moving.{moment}\n"
        f"moving.{moment} = lambda *_: os.kill(os.getpid(), 9)\n"
        "old, new = (open_storage(url) for url in sys.argv[1:])\n"
        "moving.move(old, open_study(old, 'hopper'), new)\n"
    )
    urls = [store.url.render_as_string(hide_password=False) for store in (old, new)]
    done = subprocess.run(
        [sys.executable, "-c", code, *urls],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL


def test_while_it_is_moved_every_wish_is_refused_with_what_to_do(storages: Storages) -> None:
    old, new = storages
    fail(old)
    said: list[str] = []

    def meanwhile() -> dict[str, str]:
        handle = open_study(old, "hopper")
        assert handle.desired_state == "moving"
        assert claim(old, handle.study_id, Claimant("worker")) is None
        assert claim_unpublished(old, handle.study_id, Claimant("worker")) is None
        said.extend(refusals(old))
        return {}

    moved = move.move(old, open_study(old, "hopper"), new, meanwhile)
    assert len(said) == 7
    for sentence in said:
        assert f"is being moved from {old.address} to {new.address}: wait" in sentence
        assert "`omad-search move hopper --give-up`" in sentence
    assert (read_desired_state(old, open_study(old, "hopper").study_id), moved.desired_state) == (
        "moved",
        "running",
    )
    assert budget.counts(new, moved.study_id).total == 3
    assert all("was moved from" in sentence for sentence in refusals(old))


@pytest.mark.parametrize("moment", ["_make", "_write_rows", "close", "_open_copy"])
def test_after_a_killed_move_the_same_again_does_what_is_left(storages: Storages, moment: str) -> None:
    old, new = storages
    killed_move(old, new, moment)
    handle = open_study(old, "hopper")
    assert handle.desired_state == ("moved" if moment == "_open_copy" else "moving")
    assert len(refusals(old)) == 7
    if moment != "_make":
        with pytest.raises(SpecConflict, match=r"is on its way to .* and not whole yet"):
            open_for_running(new, FakeTracker(), SPEC, GIVEN)
    moved = move.move(old, handle, new)
    assert (open_study(old, "hopper").desired_state, moved.desired_state) == ("moved", "running")
    assert claim(new, moved.study_id, Claimant("worker")) is not None
    assert len(optuna_study(new, moved).get_trials()) == 1


def test_a_killed_move_can_be_given_up_and_begun_again(storages: Storages) -> None:
    old, new = storages
    killed_move(old, new, "close")
    with pytest.raises(SpecConflict, match="is on its way to"):
        move_guard.give_up(new, open_study(new, "hopper"))
    move_guard.give_up(old, open_study(old, "hopper"))
    lease = claim(old, open_study(old, "hopper").study_id, Claimant("worker"))
    assert lease is not None
    lease_writes.release(old, lease)
    commands.extend(old, open_study(old, "hopper"), "+1")
    assert claim(new, open_study(new, "hopper").study_id, Claimant("worker")) is None, "half of it lies there"
    assert budget.counts(new, move.move(old, open_study(old, "hopper"), new).study_id).total == 4
    with pytest.raises(SpecConflict, match="was moved from"):
        move_guard.give_up(old, open_study(old, "hopper"))
    with pytest.raises(SpecConflict, match="is not being moved"):
        move_guard.give_up(new, open_study(new, "hopper"))


def test_a_move_that_fails_again_leaves_what_was_wanted_before_the_first(storages: Storages) -> None:
    old, new = storages
    commands.want(old, open_study(old, "hopper"), "stopping")
    killed_move(old, new, "_write_rows")
    with pytest.raises(KeyboardInterrupt):
        move.move(old, open_study(old, "hopper"), new, lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert open_study(old, "hopper").desired_state == "stopping"


def test_a_study_that_somebody_took_up_meanwhile_is_not_closed(storages: Storages) -> None:
    old, new = storages

    def give_up() -> dict[str, str]:
        move_guard.give_up(old, open_study(old, "hopper"))
        return {}

    with pytest.raises(SpecConflict, match="the study is running now"):
        move.move(old, open_study(old, "hopper"), new, give_up)
    handle = open_study(old, "hopper")
    assert handle.desired_state == "running"
    assert open_study(new, "hopper").desired_state == "moving", "nobody begins there"
    with pytest.raises(SpecConflict, match="was taken up again"), move_guard.departing(old, handle, "there"):
        move_guard.close(old, {handle: {row.number: 0 for row in budget.rows(old, handle.study_id)}})
    assert open_study(old, "hopper").desired_state == "running"


def test_a_claim_that_was_begun_before_the_move_gets_nothing(storages: Storages) -> None:
    old, _ = storages
    handle = open_study(old, "hopper")
    found = claiming._to_train(old, handle.study_id, (), None, False)
    assert found is not None
    condition, candidates = found
    with move_guard.departing(old, handle, "there"):
        assert [claiming._take(old, row, condition, Claimant("late", 60.0)) for row in candidates] == [
            None
        ] * 3


def test_one_process_of_a_machine_moves_it_at_a_time(storages: Storages) -> None:
    old, new = storages
    killed_move(old, new, "close")
    handle = open_study(old, "hopper")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        note = liveness.identity(other.pid) | {"to": new.address, "wanted": "running"}
        old.rdb.set_study_user_attr(handle.study_id, MOVING, note)
        with pytest.raises(SpecConflict, match=f"process {other.pid} is moving study 'hopper'"):
            move.move(old, handle, new)
        with pytest.raises(SpecConflict, match=f"process {other.pid} is moving"):
            move_guard.give_up(old, handle)
        other.kill()
    assert move.move(old, handle, new).desired_state == "running"


def test_what_the_last_step_left_of_one_move_does_not_hinder_the_next(storages: Storages) -> None:
    old, new = storages
    moved = move.move(old, open_study(old, "hopper"), new)
    new.rdb.set_study_user_attr(moved.study_id, ARRIVING, True)
    killed_move(new, old, "_make")
    move_guard.give_up(new, open_study(new, "hopper"))
    assert open_study(new, "hopper").desired_state == "running"


def test_records_on_their_way_are_said_so_and_given_up(
    storages: Storages, capsys: pytest.CaptureFixture[str]
) -> None:
    old, _ = storages
    handle = open_study(old, "hopper")
    url = old.url.render_as_string(hide_password=False)

    def told(*words: str, code: int) -> str:
        with pytest.raises(SystemExit, match=str(code)):
            main([*words, "--storage", url])
        said = capsys.readouterr()
        return said.err if code else said.out

    def meanwhile() -> dict[str, str]:
        for words in (["pause", "hopper"], ["sync", "hopper"], ["worker", "hopper", "--device", "cpu"]):
            assert "to http://new:5000: wait" in told(*words, code=2)
        assert f"goes on in {old.address}" in told("move", "hopper", "--give-up", code=0)
        return {}

    with pytest.raises(SpecConflict, match="the study is running now"):
        move.move_runs(old, [handle], meanwhile, "http://new:5000")
    assert "is not being moved" in told("move", "hopper", "--give-up", code=2)


# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_an_idle_worker_leaves_and_touches_nothing_more(
    location: Callable[..., Any], work_here: Callable[..., None]
) -> None:
    study = location("study", 1)
    budget.set_desired_state(study.store, study.handle.study_id, "paused")
    tracker = MlflowTracker(study.tracking)
    run = tracker.open_run(RunInfo("trial 0", "hopper", study.handle.uid, slot=0))
    with study.store.write() as connection:
        connection.exec_driver_sql(f"UPDATE omad_slot SET mlflow_run_id = '{run}'")
    begun = threading.Event()

    def set_moving(rows: Any) -> bool:
        if not tracker.running_trials("hopper", study.handle.uid) and not begun.is_set():
            tracker.resume_run(run)  # as somebody does in the new place
            budget.set_desired_state(study.store, study.handle.study_id, "moving")
            begun.set()
        return False

    work_here(study, "home", set_moving)
    assert begun.is_set()
    assert tracker.running_trials("hopper", study.handle.uid) == {run: 0}
