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

from cli.joining import join
from cli.main import main
from cli.opening import open_for_running
from search.errors import SpecConflict
from search.records import moving
from search.slots import alive, binding, budget, departure, endings, slots, steering
from search.slots import claim as claiming
from search.slots.claim import Claimant, claim, claim_unpublished, wanted
from search.slots.keys import ARRIVING, MOVING
from search.slots.study import StudyHandle, create_study, open_study, optuna_study
from search.spec import catalog
from search.spec.given import Given
from search.storage.store import Store, open_storage
from tracking.mlflow_tracker import MlflowTracker
from tracking.null import NullTracker
from tracking.tracker import RunInfo

ROOT = Path(__file__).parents[2]
GIVEN = Given(task="hopper", profile="smoke", numbers={"trials": 3})
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
    lease, _ = binding.bind(store, study, lease)
    assert endings.fail(store, study, lease, "out of memory", max_attempts=1, seconds=0.0) is not None


def every_wish(store: Store) -> list[Callable[[], object]]:
    """All that somebody may ask of a study, with what is read of it only now."""

    def handle() -> StudyHandle:
        return open_study(store, "hopper")

    return [
        lambda: open_for_running(store, NullTracker(), SPEC, GIVEN),
        lambda: join(store, "hopper", Given(), NullTracker()),
        *(
            lambda wish=wish: steering.want(store, handle(), wish)
            for wish in ("running", "paused", "stopping")
        ),
        lambda: steering.extend(store, handle(), "+1"),
        lambda: steering.retry(store, handle(), None),
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
        "import os, sys; from search.records import moving; from search.slots.study import open_study\n"
        "from search.storage.store import open_storage\n"
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
        assert handle.wanted == "moving"
        assert claim(old, handle.study_id, Claimant("worker")) is None
        assert claim_unpublished(old, handle.study_id, Claimant("worker")) is None
        said.extend(refusals(old))
        return {}

    moved = moving.move(old, open_study(old, "hopper"), new, meanwhile)
    assert len(said) == 7
    for sentence in said:
        assert f"is being moved from {old.address} to {new.address}: wait" in sentence
        assert "`omad-search move hopper --give-up`" in sentence
    assert (wanted(old, open_study(old, "hopper").study_id), moved.wanted) == ("moved", "running")
    assert budget.counts(new, moved.study_id).total == 3
    assert all("was moved from" in sentence for sentence in refusals(old))


@pytest.mark.parametrize("moment", ["_make", "_copy_slots", "close", "_arrived"])
def test_after_a_killed_move_the_same_again_does_what_is_left(storages: Storages, moment: str) -> None:
    old, new = storages
    killed_move(old, new, moment)
    handle = open_study(old, "hopper")
    assert handle.wanted == ("moved" if moment == "_arrived" else "moving")
    assert len(refusals(old)) == 7
    if moment != "_make":
        with pytest.raises(SpecConflict, match=r"is on its way to .* and not whole yet"):
            open_for_running(new, NullTracker(), SPEC, GIVEN)
    moved = moving.move(old, handle, new)
    assert (open_study(old, "hopper").wanted, moved.wanted) == ("moved", "running")
    assert claim(new, moved.study_id, Claimant("worker")) is not None
    assert len(optuna_study(new, moved).get_trials()) == 1


def test_a_killed_move_can_be_given_up_and_begun_again(storages: Storages) -> None:
    old, new = storages
    killed_move(old, new, "close")
    with pytest.raises(SpecConflict, match="is on its way to"):
        departure.give_up(new, open_study(new, "hopper"))
    departure.give_up(old, open_study(old, "hopper"))
    lease = claim(old, open_study(old, "hopper").study_id, Claimant("worker"))
    assert lease is not None
    slots.release(old, lease)
    steering.extend(old, open_study(old, "hopper"), "+1")
    assert claim(new, open_study(new, "hopper").study_id, Claimant("worker")) is None, "half of it lies there"
    assert budget.counts(new, moving.move(old, open_study(old, "hopper"), new).study_id).total == 4
    with pytest.raises(SpecConflict, match="was moved from"):
        departure.give_up(old, open_study(old, "hopper"))
    with pytest.raises(SpecConflict, match="is not being moved"):
        departure.give_up(new, open_study(new, "hopper"))


def test_a_move_that_fails_again_leaves_what_was_wanted_before_the_first(storages: Storages) -> None:
    old, new = storages
    steering.want(old, open_study(old, "hopper"), "stopping")
    killed_move(old, new, "_copy_slots")
    with pytest.raises(KeyboardInterrupt):
        moving.move(old, open_study(old, "hopper"), new, lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert open_study(old, "hopper").wanted == "stopping"


def test_a_study_that_somebody_took_up_meanwhile_is_not_closed(storages: Storages) -> None:
    old, new = storages

    def give_up() -> dict[str, str]:
        departure.give_up(old, open_study(old, "hopper"))
        return {}

    with pytest.raises(SpecConflict, match="the study is running now"):
        moving.move(old, open_study(old, "hopper"), new, give_up)
    handle = open_study(old, "hopper")
    assert handle.wanted == "running"
    assert open_study(new, "hopper").wanted == "moving", "nobody begins there"
    with pytest.raises(SpecConflict, match="was taken up again"), departure.departing(old, handle, "there"):
        departure.close(old, handle, {row.number: 0 for row in budget.rows(old, handle.study_id)})
    assert open_study(old, "hopper").wanted == "running"


def test_a_claim_that_was_begun_before_the_move_gets_nothing(storages: Storages) -> None:
    old, _ = storages
    handle = open_study(old, "hopper")
    found = claiming._to_train(old, handle.study_id, ())
    assert found is not None
    condition, candidates = found
    with departure.departing(old, handle, "there"):
        assert [claiming._take(old, row, condition, Claimant("late", 60.0)) for row in candidates] == [
            None
        ] * 3


def test_one_process_of_a_machine_moves_it_at_a_time(storages: Storages) -> None:
    old, new = storages
    killed_move(old, new, "close")
    handle = open_study(old, "hopper")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        note = alive.identity(other.pid) | {"to": new.address, "wanted": "running"}
        old.rdb.set_study_user_attr(handle.study_id, MOVING, note)
        with pytest.raises(SpecConflict, match=f"process {other.pid} is moving study 'hopper'"):
            moving.move(old, handle, new)
        with pytest.raises(SpecConflict, match=f"process {other.pid} is moving"):
            departure.give_up(old, handle)
        other.kill()
    assert moving.move(old, handle, new).wanted == "running"


def test_what_the_last_step_left_of_one_move_does_not_hinder_the_next(storages: Storages) -> None:
    old, new = storages
    moved = moving.move(old, open_study(old, "hopper"), new)
    new.rdb.set_study_user_attr(moved.study_id, ARRIVING, True)
    killed_move(new, old, "_make")
    departure.give_up(new, open_study(new, "hopper"))
    assert open_study(new, "hopper").wanted == "running"


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
        moving.move_runs(old, handle, meanwhile, "http://new:5000")
    assert "is not being moved" in told("move", "hopper", "--give-up", code=2)


# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_an_idle_worker_leaves_and_touches_nothing_more(
    place: Callable[..., Any], work_here: Callable[..., None]
) -> None:
    study = place("study", 1)
    budget.set_wanted(study.store, study.handle.study_id, "paused")
    tracker = MlflowTracker(study.tracking)
    run = tracker.open_run(RunInfo("trial 0", "hopper", study.handle.uid, slot=0))
    with study.store.write() as connection:
        connection.exec_driver_sql(f"UPDATE omad_slot SET mlflow_run_id = '{run}'")
    begun = threading.Event()

    def set_moving(rows: Any) -> bool:
        if not tracker.running_trials("hopper", study.handle.uid) and not begun.is_set():
            tracker.resume_run(run)  # as somebody does in the new place
            budget.set_wanted(study.store, study.handle.study_id, "moving")
            begun.set()
        return False

    work_here(study, "home", set_moving)
    assert begun.is_set()
    assert tracker.running_trials("hopper", study.handle.uid) == {run: 0}
