"""Departure: a study that is moved rests meanwhile, and ends up in one place whatever happens on the way."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil
from sqlalchemy import or_, select, update

from search.errors import SearchError, SpecConflict
from search.slots import alive, budget, control
from search.slots.keys import ARRIVING, MOVING
from search.slots.lease import HERE, Wanted
from search.slots.steering import refuse_moved
from search.slots.study import StudyHandle
from search.storage.dbclock import now
from search.storage.store import Store
from search.storage.tables import Slot

log = logging.getLogger(__name__)

ON_ITS_WAY: tuple[Wanted, ...] = ("moving",)

Tokens = Mapping[int, int]
"""Of each slot, its token: whoever takes or changes a slot makes it grow."""


@contextmanager
def departing(store: Store, handle: StudyHandle, to: str) -> Iterator[Wanted]:
    """Have nobody take a slot of a study or change its plan, unless this fails; what was wanted before.

    Whoever is killed within leaves a study that waits for the next move, or for `give_up`. Raises SpecConflict.
    """
    refuse_held(store, handle)
    before = _note(store, handle, to)
    with store.write() as connection:
        control.change(connection, handle.study_id, {"wanted": "moving"}, (*HERE, *ON_ITS_WAY))
        _fence(store, connection, handle)
    try:
        refuse_held(store, handle)
        yield before
    except BaseException:
        _undo(store, handle, before)
        raise


def refuse_held(store: Store, handle: StudyHandle) -> None:
    """Raise SpecConflict while workers hold slots of the study: they would go on in the old place."""
    held = [r for r in budget.rows(store, handle.study_id) if (r.expires_in or 0.0) > 0.0 and r.owner]
    if held:
        who = ", ".join(sorted({str(row.owner) for row in held}))
        raise SpecConflict(
            f"study {handle.name!r} has {len(held)} slots in the hands of {who}: stop them first with "
            f"`omad-search stop {handle.name}`, and wait until they have left; "
            f"of workers that were killed the slots are free in {max(r.expires_in or 0.0 for r in held):.0f} s"
        )


def close(store: Store, handle: StudyHandle, copied: Tokens) -> None:
    """Let the study be elsewhere from now on. Raises SpecConflict where it is not as it was copied."""
    query = select(Slot.number, Slot.token).where(Slot.study_id == handle.study_id)
    with store.write() as connection:
        control.change(connection, handle.study_id, {"wanted": "moved"}, ON_ITS_WAY)
        if {row.number: row.token for row in connection.execute(query)} != copied:
            raise SpecConflict(f"study {handle.name!r} was taken up again while it was copied: move it again")


def give_up(store: Store, handle: StudyHandle) -> None:
    """Have a study go on where it is, whose move was killed. Raises SpecConflict for any other one."""
    if handle.wanted != "moving":
        refuse_moved(store, handle)
        raise SpecConflict(f"study {handle.name!r} is not being moved: there is nothing to give up")
    _refuse_at_its_end(_told(store, handle), store, handle)
    budget.set_wanted(store, handle.study_id, "running", ON_ITS_WAY)


def _note(store: Store, handle: StudyHandle, to: str) -> Wanted:
    """Write down where a study goes, for those who meet it on its way; what was wanted before its first move."""
    told = _told(store, handle)
    before: Wanted = handle.wanted
    if handle.wanted == "moving":
        _refuse_at_its_end(told, store, handle)
        before = told.get(MOVING, {}).get("wanted", "running")
    with store.guard():
        if told.get(ARRIVING):  # an earlier move, which brought it here, was killed at its last step
            store.rdb.set_study_user_attr(handle.study_id, ARRIVING, False)
        note = {"to": to, "wanted": before, **alive.identity()}
        store.rdb.set_study_user_attr(handle.study_id, MOVING, note)
    return before


def _told(store: Store, handle: StudyHandle) -> Mapping[str, Any]:
    with store.guard():
        return store.rdb.get_study_user_attrs(handle.study_id)


def _refuse_at_its_end(told: Mapping[str, Any], store: Store, handle: StudyHandle) -> None:
    """Raise SpecConflict for the unfinished copy of a study, and for one that a process here is still moving."""
    if told.get(ARRIVING):
        refuse_moved(store, handle)
    mover = told.get(MOVING, {})
    here = mover.get("machine") == alive.machine() and mover.get("pid") != psutil.Process().pid
    if here and not alive.is_gone(mover):
        raise SpecConflict(
            f"process {mover['pid']} is moving study {handle.name!r} to {mover.get('to')} right now: wait, or end it"
        )


def _fence(store: Store, connection: Any, handle: StudyHandle) -> None:
    """Have no claim succeed that was begun before: it was made with a token that is old now."""
    free = or_(Slot.expires_at.is_(None), Slot.expires_at <= now())
    statement = update(Slot).where(Slot.study_id == handle.study_id, free)
    connection.execute(statement.values(token=Slot.token + 1))


def _undo(store: Store, handle: StudyHandle, before: Wanted) -> None:
    try:
        budget.set_wanted(store, handle.study_id, before, ON_ITS_WAY)
    except SearchError as error:
        log.warning("study %s could not be put back as it was: %s", handle.name, error)
