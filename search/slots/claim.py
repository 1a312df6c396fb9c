"""Claiming: each slot is leased to exactly one worker at a time."""

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from sqlalchemy import ColumnElement, Connection, and_, false, or_, select, update

from search.history import attempts
from search.slots.lease import (
    COLUMNS,
    LEASE_SECONDS,
    MAX_ATTEMPTS,
    MOVE_STATES,
    DesiredState,
    Lease,
    lease_of,
)
from search.storage.dbclock import now
from search.storage.reader import Reader
from search.storage.store import Store
from search.storage.tables import Control, Slot

T = TypeVar("T")

CANDIDATES = 64

RAN_OUT = and_(Slot.state == "leased", Slot.expires_at <= now())
BEGUN = or_(RAN_OUT, and_(Slot.state == "open", Slot.trial_id.is_not(None)))
"""Slots of dead workers, half-trained or not yet bound, and released ones: they come first."""
FRESH = and_(Slot.state == "open", Slot.trial_id.is_(None))
UNPUBLISHED = and_(
    Slot.state.in_(("done", "failed")),
    Slot.published == false(),
    or_(Slot.expires_at.is_(None), Slot.expires_at <= now()),
)


@dataclass(frozen=True)
class Claimant:
    """A worker that claims slots, and its terms."""

    owner: str
    """Shown as the slot's worker, such as `host:0`."""
    seconds: float = LEASE_SECONDS
    """How long a lease holds without a renewal."""
    max_attempts: int = MAX_ATTEMPTS
    """Claims without getting further after which a slot is given up."""
    recorded: str | None = None
    """The study's own MLflow run as this worker knows it: with another one it gets nothing."""


def claim(
    store: Store,
    study_id: int,
    by: Claimant,
    skip: Collection[int] = (),
    untried: bool = False,
    on_failed: Callable[[int], None] = lambda number: None,
) -> Lease | None:
    """Lease a slot to train, begun ones first; None where there is none now or the study is not running.

    `skip`: numbers of slots that this worker cannot train. `untried`: only slots that no worker died or failed
    with since their last progress. A slot that was claimed `max_attempts` times without progress is failed
    instead, and `on_failed` called with its number.
    """
    while free := _to_train(store, study_id, skip, by.recorded, untried):
        condition, candidates = free
        for row in first_then_random(candidates):
            if row.attempt >= by.max_attempts:
                if _give_up(store, row, condition):
                    on_failed(row.number)
            elif lease := _take(store, row, condition, by):
                return lease
    return None


def claim_unpublished(
    store: Store,
    study_id: int,
    by: Claimant,
    skip: Collection[int] = (),
) -> Lease | None:
    """Lease an ended slot whose run, model or checkpoints still need work and whose worker is dead.

    Slots that `max_attempts` workers gave up on stay unpublished and are shown as such.
    """
    condition = and_(UNPUBLISHED, Slot.attempt < by.max_attempts)
    while candidates := _unpublished(store, study_id, condition, skip, by.recorded):
        for row in first_then_random(candidates):
            if lease := _take(store, row, condition, by):
                return lease
    return None


def read_desired_state(store: Reader, study_id: int, recorded: str | None = None) -> DesiredState:
    """The state that workers are to bring the study to; 'moved' for workers that know another `recorded` run."""
    with store.read() as connection:
        return desired_state_in(connection, study_id, recorded)


def desired_state_in(connection: Connection, study_id: int, recorded: str | None = None) -> DesiredState:
    """The same within a transaction; 'stopping' for a study that was deleted."""
    query = select(Control.desired_state, Control.tracking_run).where(Control.study_id == study_id)
    row = connection.execute(query).first()
    if row is None:
        return "stopping"
    if row.desired_state not in MOVE_STATES and recorded is not None and row.tracking_run != recorded:
        return "moved"
    return cast(DesiredState, row.desired_state)


def _to_train(
    store: Store, study_id: int, skip: Collection[int], recorded: str | None, untried: bool
) -> tuple[ColumnElement[bool], Sequence[Any]] | None:
    """Candidates to train and the condition they fulfil, in one transaction; begun ones first."""
    with store.read() as connection:
        if desired_state_in(connection, study_id, recorded) == "running":
            for state in (BEGUN, FRESH):
                condition = and_(state, Slot.attempt == 0) if untried else state
                if candidates := _candidates(connection, study_id, condition, skip):
                    return condition, candidates
    return None


def _unpublished(
    store: Store,
    study_id: int,
    condition: ColumnElement[bool],
    skip: Collection[int],
    recorded: str | None,
) -> Sequence[Any]:
    with store.read() as connection:
        if desired_state_in(connection, study_id, recorded) in MOVE_STATES:
            return []
        return _candidates(connection, study_id, condition, skip)


def _candidates(
    connection: Connection, study_id: int, condition: ColumnElement[bool], skip: Collection[int]
) -> Sequence[Any]:
    query = (
        select(*COLUMNS)
        .where(Slot.study_id == study_id, condition, Slot.number.not_in(skip))
        .order_by(Slot.number)
        .limit(CANDIDATES)
    )
    return connection.execute(query).all()


def first_then_random(rows: Sequence[T]) -> Iterator[T]:
    """The first, so that a lone worker takes them in order; then any, so that many do not form a herd."""
    yield from rows[:1]
    yield from random.sample(rows[1:], max(0, len(rows) - 1))


def _take(store: Store, row: Any, condition: ColumnElement[bool], by: Claimant) -> Lease | None:
    values = {
        "token": row.token + 1,
        "owner": by.owner,
        "attempt": row.attempt + 1,
        "expires_at": now() + by.seconds,
    }
    trains = row.state in ("open", "leased")
    if trains:
        values["state"] = "leased"
    with store.write() as connection:
        if not _change(connection, row, condition, values):
            return None
        if trains:
            attempts.end(connection, row.study_id, row.number, attempts.LOST, row.expires_at)
            attempts.begin(connection, row.study_id, row.number, row.token + 1, by.owner)
        query = select(*COLUMNS).where(Slot.study_id == row.study_id, Slot.number == row.number)
        return lease_of(connection.execute(query).one())


def _give_up(store: Store, row: Any, condition: ColumnElement[bool]) -> bool:
    """Fail a slot whose workers make no progress; whether this call did. The next repair ends its trial in Optuna."""
    step = max([ref["step"] for ref in row.checkpoints] + [int(row.progress.get("step") or 0)])
    times = "once" if row.attempt == 1 else f"{row.attempt} times"
    reason = f"worker died {times} at step {step:,}"
    if row.reason:
        reason += f"; last error: {row.reason}"
    values = {
        "token": row.token + 1,
        "state": "failed",
        "outcome": "failed",
        "reason": reason,
        "attempt": 0,
        "expires_at": None,
        # Without a trial and a run there is nothing to publish.
        "published": row.trial_id is None and row.mlflow_run_id is None,
    }
    with store.write() as connection:
        given_up = _change(connection, row, condition, values)
        if given_up:
            attempts.end(connection, row.study_id, row.number, attempts.LOST, row.expires_at)
        return given_up


def _change(connection: Connection, row: Any, condition: ColumnElement[bool], values: dict[str, Any]) -> bool:
    """One conditional UPDATE; whether it was this worker that made the change."""
    statement = (
        update(Slot)
        .where(Slot.study_id == row.study_id, Slot.number == row.number, Slot.token == row.token, condition)
        .values(values)
    )
    return connection.execute(statement).rowcount == 1
