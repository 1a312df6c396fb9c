"""What the holder of a lease may write: each ONE conditional UPDATE, refused once the token is old.

Every call can be repeated after a lost connection: one that had arrived succeeds again.
"""

import dataclasses
import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, false, or_, select, update

from search.errors import Duplicate, LeaseLost, TrialTaken
from search.history import attempts, evaluations, leftovers
from search.history.evaluations import CurvePoint
from search.slots.claim import desired_state_in
from search.slots.keys import MODEL
from search.slots.lease import (
    COLUMNS,
    LEASE_SECONDS,
    MAX_ATTEMPTS,
    CheckpointRef,
    DesiredState,
    Lease,
    Outcome,
    checkpoints_to_json,
    lease_of,
)
from search.storage.dbclock import now
from search.storage.store import Store
from search.storage.tables import Slot

log = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 2

TRAINING = Slot.state == "leased"
ENDED = Slot.state.in_(("done", "failed"))
UNDER_LEASE = or_(TRAINING, and_(ENDED, Slot.published == false(), Slot.owner.is_not(None)))
"""Held by a worker: a result that was released has no owner, and a late renewal cannot take it again."""


def renew(
    store: Store, lease: Lease, seconds: float = LEASE_SECONDS, progress: Mapping[str, Any] | None = None
) -> DesiredState:
    """Hold the slot for `seconds` from now and show its progress; the study's desired state. Raises LeaseLost.

    The token decides, not the time: a lease that ran out is renewed unless the slot was claimed since.
    """
    values: dict[str, Any] = {"expires_at": now() + seconds}
    if progress is not None:
        values["progress"] = _finite(progress)
    with store.write() as connection:
        _write(connection, lease, UNDER_LEASE, values)
        return desired_state_in(connection, lease.study_id)


def record_checkpoint(
    store: Store, lease: Lease, checkpoint: CheckpointRef, keep: int = KEPT_CHECKPOINTS
) -> Lease:
    """Commit a checkpoint: from now on the trial resumes from it. Raises LeaseLost.

    Recording the same one again adds where it was uploaded. A new one drops entries at or past its step:
    they belong to another generation of the trial. Compare the two leases to see which were dropped.
    """
    newer = all(ref.step < checkpoint.step for ref in lease.checkpoints)
    kept = _checkpoints_to_keep(lease.checkpoints, checkpoint, keep)
    values: dict[str, Any] = {"checkpoints": checkpoints_to_json(kept)}
    if newer:
        values["attempt"] = 0
    with store.write() as connection:
        _write(connection, lease, UNDER_LEASE, values)
    return dataclasses.replace(lease, checkpoints=kept, attempt=0 if newer else lease.attempt)


def _checkpoints_to_keep(
    known: Sequence[CheckpointRef], new: CheckpointRef, keep: int
) -> tuple[CheckpointRef, ...]:
    """The newest `keep` for this machine, and the newest `keep` that others can read."""
    if any(_same(ref, new) for ref in known):
        history = [new if _same(ref, new) else ref for ref in known]
    else:
        mine = _writer(new)
        others = [
            ref for ref in known if ref.step < new.step or (_writer(ref) == mine and ref.step > new.step)
        ]
        history = sorted([new, *others], key=lambda ref: -ref.step)
    uploaded = [ref for ref in history if ref.uri is not None][:keep]
    return tuple(ref for n, ref in enumerate(history) if n < keep or ref in uploaded)


def _writer(ref: CheckpointRef) -> str:
    """The lease that wrote it: an upload that is late must not undo what the same worker recorded since."""
    return ref.name.partition("/")[0]


def _same(one: CheckpointRef, other: CheckpointRef) -> bool:
    return (one.name, one.digest, one.home) == (other.name, other.digest, other.home)


def bind_trial(store: Store, lease: Lease, trial_id: int) -> Lease:
    """Make an Optuna trial this slot's. Raises TrialTaken where it is another slot's, LeaseLost."""
    unbound = and_(TRAINING, Slot.trial_id.is_(None))
    try:
        with store.write() as connection:
            _write(connection, lease, unbound, {"trial_id": trial_id}, lambda row: row.trial_id == trial_id)
    except Duplicate:
        with store.write() as connection:
            freed = leftovers.take_trials(connection, lease.study_id, [trial_id])
        if freed:
            return bind_trial(store, lease, trial_id)
        raise TrialTaken(f"trial id {trial_id} is bound to another slot") from None
    return dataclasses.replace(lease, trial_id=trial_id)


def unbind_trial(store: Store, lease: Lease) -> Lease:
    """Undo `bind_trial`: the trial turned out to be run by another process. Raises LeaseLost."""
    bound = and_(TRAINING, Slot.trial_id == lease.trial_id)
    with store.write() as connection:
        _write(connection, lease, bound, {"trial_id": None}, lambda row: row.trial_id is None)
    return dataclasses.replace(lease, trial_id=None)


def bind_run(store: Store, lease: Lease, run_id: str) -> Lease:
    """Make an MLflow run this slot's, or learn which one is already. Raises LeaseLost.

    Where the answer's `mlflow_run_id` is another one, the caller deletes its own.
    """
    unbound = and_(UNDER_LEASE, Slot.mlflow_run_id.is_(None))
    with store.write() as connection:
        _write(
            connection, lease, unbound, {"mlflow_run_id": run_id}, lambda row: row.mlflow_run_id is not None
        )
        winner = connection.scalar(_row_query(lease).with_only_columns(Slot.mlflow_run_id))
    return dataclasses.replace(lease, mlflow_run_id=winner)


def unbind_run(store: Store, lease: Lease) -> Lease:
    """Have the slot get another MLflow run. Raises LeaseLost."""
    with store.write() as connection:
        _write(connection, lease, UNDER_LEASE, {"mlflow_run_id": None})
    return dataclasses.replace(lease, mlflow_run_id=None)


def finish(
    store: Store,
    lease: Lease,
    outcome: Outcome,
    value: float | None = None,
    reason: str | None = None,
    seconds: float = LEASE_SECONDS,
) -> Lease:
    """Commit how the trial ended; the lease is kept for publishing. Raises LeaseLost."""
    if value is not None and not math.isfinite(value):
        raise ValueError(f"a result must be finite, not {value}; end the trial as diverged")
    if outcome == "complete" and value is None:
        raise ValueError("a complete trial needs a value")
    values = {
        "state": "failed" if outcome == "failed" else "done",
        "outcome": outcome,
        "value": value,
        "reason": reason,
        "attempt": 0,
        "expires_at": now() + seconds,
    }
    with store.write() as connection:
        _write(connection, lease, TRAINING, values, lambda row: row.outcome == outcome)
        attempts.end(connection, lease.study_id, lease.number, outcome)
    return dataclasses.replace(lease, outcome=outcome, value=value, reason=reason, attempt=0)


def fail(
    store: Store,
    lease: Lease,
    reason: str,
    max_attempts: int = MAX_ATTEMPTS,
    seconds: float = LEASE_SECONDS,
) -> Lease | None:
    """Release the slot because its trial raised; the attempt counts. Raises LeaseLost.

    None where it will be tried again; after the last attempt the lease to publish the failure with.
    """
    last = Slot.attempt >= max_attempts
    values = {
        "state": case((last, "failed"), else_="open"),
        "outcome": case((last, "failed"), else_=None),
        "owner": case((last, Slot.owner), else_=None),
        "expires_at": case((last, now() + seconds), else_=None),
        "reason": reason,
        # Last, because MySQL uses what was assigned before.
        "attempt": case((last, 0), else_=Slot.attempt),
    }
    with store.write() as connection:
        _write(connection, lease, TRAINING, values, lambda row: row.reason == reason)
        row = connection.execute(_row_query(lease)).one()
        attempts.end(connection, lease.study_id, lease.number, row.outcome or "raised")
    return lease_of(row) if row.outcome == "failed" else None


def release(store: Store, lease: Lease) -> None:
    """Release the slot, so that another worker can resume at once. Raises LeaseLost."""
    values = {
        "state": case((TRAINING, "open"), else_=Slot.state),
        "owner": None,
        "expires_at": None,
        "attempt": 0,
    }
    with store.write() as connection:
        _write(connection, lease, UNDER_LEASE, values, lambda row: row.owner is None)
        attempts.end(connection, lease.study_id, lease.number, "released")


def publish(store: Store, lease: Lease, model_uri: str | None = None) -> None:
    """Commit that run, curve and model are published; checkpoints may be deleted now. Raises LeaseLost.

    The model's address is kept for readers without a tracking server.
    """
    ended = and_(ENDED, Slot.published == false())
    values: dict[str, Any] = {"published": True, "expires_at": None, "attempt": 0}
    with store.write() as connection:
        if model_uri is not None:
            progress = connection.scalar(_row_query(lease).with_only_columns(Slot.progress))
            values["progress"] = {**progress, MODEL: model_uri}
        _write(connection, lease, ended, values, lambda row: row.published)


def forget_checkpoints(store: Store, lease: Lease) -> Lease:
    """Note that the checkpoints of a published slot are deleted. Raises LeaseLost."""
    with store.write() as connection:
        _write(connection, lease, ENDED, {"checkpoints": []})
    return dataclasses.replace(lease, checkpoints=())


def record_evaluations(store: Store, lease: Lease, measured: Collection[CurvePoint]) -> None:
    """Store evaluations of the slot's trial; those that are there are left as they are. Raises LeaseLost."""
    try:
        with store.write() as connection:
            row = connection.execute(_row_query(lease)).one()
            if row.token != lease.token:
                raise _lost(lease, row)
            evaluations.write(connection, lease.study_id, measured)
    except Duplicate:
        log.debug("a worker that was silent stored evaluations of slot %d at this moment", lease.number)


def check(store: Store, lease: Lease) -> None:
    """Do nothing if the lease is still held. Raises LeaseLost."""
    with store.read() as connection:
        row = connection.execute(_row_query(lease)).one()
    if row.token != lease.token or row.state == "open":
        raise _lost(lease, row)


def _write(
    connection: Connection,
    lease: Lease,
    state: ColumnElement[bool],
    values: Mapping[str, Any],
    arrived: Callable[[Any], bool] = lambda row: False,
) -> None:
    """UPDATE the slot if it is in this state and the lease's token is the newest; else raise LeaseLost.

    `arrived` says of the row whether an earlier try of the same write got through.
    """
    statement = (
        update(Slot)
        .where(Slot.study_id == lease.study_id, Slot.number == lease.number, Slot.token == lease.token, state)
        .ordered_values(*values.items())
    )
    if connection.execute(statement).rowcount == 1:
        return
    row = connection.execute(_row_query(lease)).one()
    if row.token != lease.token or not arrived(row):
        raise _lost(lease, row)


def _row_query(lease: Lease) -> Any:
    return select(*COLUMNS).where(Slot.study_id == lease.study_id, Slot.number == lease.number)


def _lost(lease: Lease, row: Any) -> LeaseLost:
    if row.token == lease.token:
        return LeaseLost(f"slot {lease.number} is {row.state} already")
    holder = f"; {row.owner} has it" if row.owner else ""
    return LeaseLost(
        f"slot {lease.number} was taken over while this worker was silent (token {row.token}, ours was "
        f"{lease.token}){holder}"
    )


def _finite(progress: Mapping[str, Any]) -> dict[str, Any]:
    """JSON of databases knows no NaN."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in progress.items()
    }
