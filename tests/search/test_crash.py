"""A worker that dies before or after any of its writes: the next one repairs, nothing is lost or doubled."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from search.slots import budget, lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim, claim_unpublished
from search.slots.lease import CheckpointRef
from search.slots.studies import create_study, open_study, optuna_study
from search.storage.store import Store, open_storage

SLOTS = 2


class Killed(BaseException):
    """Stands for the end of a process: nothing of ours may catch it."""


def live(store: Store, seconds: float) -> None:
    """One worker's life: run what can be claimed, publish what is left."""
    handle = open_study(store, "crash")
    outcomes.repair(store, optuna_study(store, handle))
    while lease := claim(store, handle.study_id, Claimant("worker", seconds, max_attempts=1000)):
        study = optuna_study(store, handle, RandomSampler(seed=lease.number))
        lease, trial = trial_binding.bind(store, study, lease)
        lease = lease_writes.bind_run(store, lease, f"run-{lease.number}-{lease.token}")
        with store.guard():
            x = trial.suggest_float("x", 0.0, 1.0)
        outcomes.report(store, lease, trial, 1, x)
        lease = lease_writes.record_checkpoint(store, lease, CheckpointRef(1, "one", "sha", "here"))
        lease = outcomes.finish(store, study, lease, "complete", x, seconds=seconds)
        lease_writes.publish(store, lease)
    while lease := claim_unpublished(store, handle.study_id, Claimant("worker", seconds, max_attempts=1000)):
        lease_writes.publish(store, lease)
    outcomes.repair(store, optuna_study(store, handle))


@contextmanager
def killed_at(store: Store, nth: int, before: bool) -> Iterator[None]:
    """Raise Killed at the nth transaction that wrote, before or after it reached the database."""
    writes = itertools.count(1)
    for engine in (store.engine, store.rdb.engine):
        _kill_at_commit(engine, lambda: next(writes) == nth, before)
    with suppress(Killed):
        yield


def _kill_at_commit(engine: sqlalchemy.Engine, now: Callable[[], bool], before: bool) -> None:
    commit = engine.dialect.do_commit
    wrote: set[int] = set()

    def watch(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        if statement.lstrip().startswith(("INSERT", "UPDATE", "DELETE")):
            wrote.add(id(connection.connection.dbapi_connection))

    def do_commit(dbapi_connection: Any) -> None:
        key = id(getattr(dbapi_connection, "dbapi_connection", dbapi_connection))
        kill = key in wrote and now()
        wrote.discard(key)
        if kill and before:
            raise Killed
        commit(dbapi_connection)
        if kill:
            raise Killed

    sqlalchemy.event.listen(engine, "after_cursor_execute", watch)
    engine.dialect.do_commit = do_commit  # type: ignore[method-assign]


def check_exact(store: Store) -> None:
    handle = open_study(store, "crash")
    rows = budget.rows(store, handle.study_id)
    trials = store.rdb.get_all_trials(handle.study_id)
    assert [(row.state, row.outcome, row.published) for row in rows] == [("done", "complete", True)] * SLOTS
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * SLOTS
    assert [row.trial_id for row in rows] == [trial._trial_id for trial in trials]
    assert [row.value for row in rows] == [trial.value for trial in trials]
    assert [list(trial.intermediate_values) for trial in trials] == [[1]] * SLOTS
    assert trials[0].params == {"x": 0.5}


def crash_everywhere(new_storage: Callable[[], str], before: bool) -> int:
    """Kill a life at its first, second, ... write, rescue it each time; how many writes there are."""
    for nth in itertools.count(1):
        url = new_storage()
        with open_storage(url) as store, killed_at(store, nth, before):
            live(store, seconds=0.0)
            return nth - 1
        with open_storage(url) as store:
            live(store, seconds=60.0)
            check_exact(store)
    raise AssertionError("unreachable")


@pytest.mark.parametrize("before", [pytest.param(True, marks=pytest.mark.slow), False])
def test_killed_at_any_write_on_sqlite(before: bool, tmp_path: Path) -> None:
    template, copies = tmp_path / "template.db", itertools.count()
    with open_storage(f"sqlite:///{template}", create=True) as store:
        create_study(store, "crash", SLOTS, "{}", enqueue=[{"x": 0.5}])

    def new_storage() -> str:
        path = tmp_path / f"{next(copies)}.db"
        shutil.copy(template, path)
        return f"sqlite:///{path}"

    # Claim, bind, start, mark, run, parameter, report, checkpoint, finish, tell, publish; claim, make, ...
    assert crash_everywhere(new_storage, before) == 11 + 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
@pytest.mark.parametrize("before", [True, False])
def test_killed_at_any_write_on_a_server(kind: str, before: bool, new_url: Callable[[str], str]) -> None:
    def new_storage() -> str:
        url = new_url(kind)
        with open_storage(url, create=True) as store:
            create_study(store, "crash", SLOTS, "{}", enqueue=[{"x": 0.5}])
        return url

    assert crash_everywhere(new_storage, before) == 11 + 10
