"""The budget: its rows and counts, and the changes a user makes to it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, false, func, insert, select, update

from search.errors import Duplicate
from search.slots import control
from search.slots.claim import BEGUN, RAN_OUT
from search.slots.lease import COLUMNS, HERE, DesiredState, SlotRow, slot_row
from search.storage.dbclock import now
from search.storage.reader import Reader
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
    """Held by a worker."""
    done: int
    failed: int
    unpublished: int
    """Ended, with work left on their run, model or checkpoints."""

    @property
    def ended(self) -> bool:
        """Whether every slot has its result."""
        return self.done + self.failed == self.total

    @property
    def over(self) -> bool:
        """Whether every slot has its result, and all of it is published."""
        return self.ended and not self.unpublished


def rows(store: Reader, study_id: int) -> list[SlotRow]:
    """All slots of a study, by number."""
    query = (
        select(*COLUMNS, (Slot.expires_at - now()).label("expires_in"))
        .where(Slot.study_id == study_id)
        .order_by(Slot.number)
    )
    with store.read() as connection:
        return [slot_row(row) for row in connection.execute(query)]


def unpublished(store: Reader, study_id: int) -> list[SlotRow]:
    """Ended slots that are not published, leased or not."""
    return [row for row in rows(store, study_id) if row.outcome is not None and not row.published]


def counts(store: Reader, study_id: int) -> Counts:
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
    """Make the budget at least `total` slots; how many were added. Raises SpecConflict while the study is moved."""
    while True:
        try:
            with store.write() as connection:
                control.lock_row(connection, study_id)
                have = connection.scalar(select(func.count()).where(Slot.study_id == study_id)) or 0
                new = new_slots(study_id, range(have, total))
                if new:
                    connection.execute(insert(Slot), new)
        except Duplicate:
            continue  # another process extended it at the same moment
        return len(new)


def new_slots(study_id: int, numbers: range) -> list[dict[str, Any]]:
    """Rows of slots that were never claimed."""
    blank = {"state": "open", "token": 0, "attempt": 0, "checkpoints": [], "published": False, "progress": {}}
    return [{"study_id": study_id, "number": number, **blank} for number in numbers]


def reopen_failed(store: Store, study_id: int, numbers: Sequence[int] | None = None) -> list[SlotRow]:
    """Open failed slots (all, or those named) for a new trial with the same parameters; which, as they were."""
    opened = []
    for row in rows(store, study_id):
        if row.state != "failed" or (numbers is not None and row.number not in numbers):
            continue
        if _reopen(store, study_id, row):
            opened.append(row)
    return opened


def set_desired_state(
    store: Store, study_id: int, state: DesiredState, since: Collection[DesiredState] = HERE
) -> None:
    """Set the state that workers are to bring the study to; each reads it with its next renewal or claim.

    Raises SpecConflict where the state now is none of `since`, such as for a study that is being moved.
    """
    with store.write() as connection:
        control.change(connection, study_id, {"desired_state": state}, since)


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
        control.lock_row(connection, study_id)
        statement = update(Slot).where(*here, Slot.state == "failed").values(values)
        return connection.execute(statement).rowcount == 1
