"""How trials report and end: the row of the slot is the commit point, Optuna learns of it afterwards."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import ColumnElement, select

from search.errors import LeaseLost
from search.slots import budget, lease_writes
from search.slots.keys import SLOT
from search.slots.lease import LEASE_SECONDS, MAX_ATTEMPTS, Lease, Outcome, SlotRow
from search.slots.trial_binding import start, trial_id
from search.storage.store import Store
from search.storage.tables import Slot

log = logging.getLogger(__name__)

STATES: dict[str, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
"""Optuna's state for each outcome; for pruned trials Optuna takes the last reported value."""

CHUNK = 500
"""Ids in one query; databases limit how many it may name."""


@dataclass(frozen=True)
class RepairResult:
    """What `repair` had to do."""

    ended: int
    """Trials that Optuna still held as unfinished though their slot had ended."""
    orphans: int
    """Trials made for a slot that has another one."""


def report(store: Store, lease: Lease, trial: Trial, step: int, value: float) -> None:
    """Report an intermediate value; one that is there already (from before a resume) is left. Raises LeaseLost."""
    lease_writes.check(store, lease)
    with store.guard():
        if step in store.rdb.get_trial(trial_id(lease)).intermediate_values:
            return
        try:
            trial.report(value, step)
        except UpdateFinishedTrialError:
            raise LeaseLost(f"trial {trial.number} of slot {lease.number} has ended") from None


def finish(
    store: Store,
    study: optuna.Study,
    lease: Lease,
    outcome: Outcome,
    value: float | None = None,
    reason: str | None = None,
    seconds: float = LEASE_SECONDS,
) -> Lease:
    """Commit how the trial ended, then tell Optuna; the lease is kept for publishing. Raises LeaseLost."""
    ended = lease_writes.finish(store, lease, outcome, value, reason, seconds)
    tell(store, study, trial_id(ended), outcome, value)
    return ended


def fail(
    store: Store,
    study: optuna.Study,
    lease: Lease,
    reason: str,
    max_attempts: int = MAX_ATTEMPTS,
    seconds: float = LEASE_SECONDS,
) -> Lease | None:
    """Give back the slot of a trial that raised, or fail both at the last attempt. Raises LeaseLost.

    None where it will be tried again; else the lease to publish the failure with.
    """
    ended = lease_writes.fail(store, lease, reason, max_attempts, seconds)
    if ended is not None and ended.trial_id is not None:
        tell(store, study, ended.trial_id, "failed", None)
    return ended


def retry(store: Store, study: optuna.Study, numbers: Sequence[int] | None = None) -> list[SlotRow]:
    """Give failed slots (all, or those named) a new trial with the same parameters; which, as they were."""
    repair(store, study)
    return budget.reopen_failed(store, study._study_id, numbers)


def tell(store: Store, study: optuna.Study, ended: int, outcome: Outcome, value: float | None) -> None:
    """Tell Optuna the result that a slot has committed for the trial of this id; again is no error."""
    state = STATES[outcome]
    with store.guard():
        trial = store.rdb.get_trial(ended)
        number = trial.number
        if trial.state is TrialState.WAITING:  # its slot was given up before it began
            start(store, ended)
        try:
            study.tell(number, value if state is TrialState.COMPLETE else None, state, skip_if_finished=True)
        except UpdateFinishedTrialError:
            log.debug("trial %d was ended by another worker at the same moment", number)


def repair(store: Store, study: optuna.Study) -> RepairResult:
    """Do what dead workers left undone. Any worker may, at any time: when it starts, idles and ends."""
    with store.guard():
        unfinished = store.rdb.get_all_trials(
            study._study_id, deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)
        )
    bound = {
        row.trial_id: row for row in _rows(store, study, Slot.trial_id, (t._trial_id for t in unfinished))
    }
    loose = [t for t in unfinished if t._trial_id not in bound and t.state is TrialState.RUNNING]
    named = {row.number: row for row in _rows(store, study, Slot.number, _named(loose))}
    ended = [bound[t._trial_id] for t in unfinished if t._trial_id in bound and bound[t._trial_id].outcome]
    orphans = [t for t in loose if _orphan(t, named.get(t.user_attrs.get(SLOT)))]
    for row in ended:
        tell(store, study, row.trial_id, row.outcome, row.value)
    for trial in orphans:
        log.info("trial %d is of no slot and ends as failed", trial.number)
        tell(store, study, trial._trial_id, "failed", None)
    return RepairResult(len(ended), len(orphans))


def _orphan(trial: FrozenTrial, slot: Any) -> bool:
    """Whether a RUNNING trial that no slot has can never be adopted by the one it was made for."""
    if slot is None or (slot.trial_id is None and slot.outcome is None):
        return False
    return bool(slot.trial_id != trial._trial_id)


def _named(trials: Iterable[FrozenTrial]) -> set[int]:
    return {t.user_attrs[SLOT] for t in trials if isinstance(t.user_attrs.get(SLOT), int)}


def _rows(store: Store, study: optuna.Study, column: Any, values: Iterable[int]) -> list[Any]:
    ids = sorted(values)
    columns = (Slot.number, Slot.trial_id, Slot.outcome, Slot.value)
    rows: list[Any] = []
    for n in range(0, len(ids), CHUNK):
        named: ColumnElement[bool] = column.in_(ids[n : n + CHUNK])
        with store.read() as connection:
            query = select(*columns).where(Slot.study_id == study._study_id, named)
            rows += connection.execute(query).all()
    return rows
