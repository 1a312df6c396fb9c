"""The budget as everybody sees it: rows, counts; and the changes a user makes to it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, false, func, insert, select, update

from search.errors import Duplicate
from search.slots import control
from search.slots.claim import BEGUN, RAN_OUT
from search.slots.lease import COLUMNS, HERE, SlotRow, Wanted, refs
from search.storage.dbclock import now
from search.storage.store import Store
from search.storage.tables import Slot


@dataclass(frozen=True)
class Counts:
    """Slots of a study by what can be done with them."""

    total: int
    open: int
    """Open and never begun."""
    resumable: int
    """Begun, and free to be taken over: released, or the lease has run out."""
    leased: int
    """In the hands of a worker that lives."""
    done: int
    failed: int
    unpublished: int
    """Ended, with work left on their run, model or checkpoints."""

    @property
    def ended(self) -> bool:
        """Whether every slot has its result."""
        return self.done + self.failed == self.total


def rows(store: Store, study_id: int) -> list[SlotRow]:
    """All slots of a study, by number."""
    query = (
        select(*COLUMNS, (Slot.expires_at - now()).label("expires_in"))
        .where(Slot.study_id == study_id)
        .order_by(Slot.number)
    )
    with store.read() as connection:
        return [_slot_row(row) for row in connection.execute(query)]


def unpublished(store: Store, study_id: int) -> list[SlotRow]:
    """Ended slots that still need work, whoever is at it."""
    return [row for row in rows(store, study_id) if row.outcome is not None and not row.published]


def counts(store: Store, study_id: int) -> Counts:
    """How many slots are in which state, in one query."""

    def number(condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    ended = Slot.state.in_(("done", "failed"))
    query = select(
        func.count(),
        number(and_(Slot.state == "open", Slot.trial_id.is_(None))),
        number(BEGUN),
        number(and_(Slot.state == "leased", ~RAN_OUT)),
        number(Slot.state == "done"),
        number(Slot.state == "failed"),
        number(and_(ended, Slot.published == false())),
    ).where(Slot.study_id == study_id)
    with store.read() as connection:
        return Counts(*(int(n) for n in connection.execute(query).one()))


def extend(store: Store, study_id: int, total: int) -> int:
    """Make the budget at least `total` slots; how many were added. Raises SpecConflict for a study on its way."""
    while True:
        try:
            with store.write() as connection:
                control.hold(connection, study_id)
                have = connection.scalar(select(func.count()).where(Slot.study_id == study_id)) or 0
                new = new_slots(study_id, range(have, total))
                if new:
                    connection.execute(insert(Slot), new)
        except Duplicate:
            continue  # somebody else extended it at the same moment
        return len(new)


def new_slots(study_id: int, numbers: range) -> list[dict[str, Any]]:
    """Rows of slots that nobody has touched."""
    blank = {"state": "open", "token": 0, "attempt": 0, "checkpoints": [], "published": False, "progress": {}}
    return [{"study_id": study_id, "number": number, **blank} for number in numbers]


def reopen_failed(store: Store, study_id: int, numbers: Sequence[int] | None = None) -> list[int]:
    """Open failed slots (all, or those named) for a new trial with the same parameters; which were."""
    opened = []
    for row in rows(store, study_id):
        if row.state != "failed" or (numbers is not None and row.number not in numbers):
            continue
        if _reopen(store, study_id, row):
            opened.append(row.number)
    return opened


def set_wanted(store: Store, study_id: int, wanted: Wanted, since: Collection[Wanted] = HERE) -> None:
    """Tell all workers of the study: they hear it with their next renewal or claim.

    Raises SpecConflict where something else is wanted than one of `since`, such as for a study on its way.
    """
    with store.write() as connection:
        control.change(connection, study_id, {"wanted": wanted}, since)


def _reopen(store: Store, study_id: int, row: SlotRow) -> bool:
    blank = new_slots(study_id, range(row.number, row.number + 1))[0]
    values = {
        **blank,
        "token": row.token + 1,
        "trial_id": None,
        "retry_of": row.trial_id if row.trial_id is not None else row.retry_of,
        "owner": None,
        "expires_at": None,
        "mlflow_run_id": None,
        "outcome": None,
        "value": None,
        "reason": None,
    }
    here = (Slot.study_id == study_id, Slot.number == row.number, Slot.token == row.token)
    with store.write() as connection:
        control.hold(connection, study_id)
        statement = update(Slot).where(*here, Slot.state == "failed").values(values)
        return connection.execute(statement).rowcount == 1


def _slot_row(row: Any) -> SlotRow:
    return SlotRow(
        number=row.number,
        state=row.state,
        token=row.token,
        owner=row.owner,
        expires_in=row.expires_in,
        attempt=row.attempt,
        trial_id=row.trial_id,
        retry_of=row.retry_of,
        checkpoints=refs(row.checkpoints),
        mlflow_run_id=row.mlflow_run_id,
        outcome=row.outcome,
        value=row.value,
        reason=row.reason,
        published=row.published,
        progress=row.progress,
    )
