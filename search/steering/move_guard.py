"""The guard of a move: no worker trains a study while it is moved, and it ends up in one storage whatever fails."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil
from sqlalchemy import or_, select, update

from search.confirmation.pair import pair, refuse_confirmation
from search.errors import SearchError, SpecConflict
from search.slots import budget, control, liveness
from search.slots.keys import ARRIVING, MOVING
from search.slots.lease import HERE, DesiredState
from search.slots.studies import StudyHandle
from search.steering.commands import refuse_moved
from search.storage.dbclock import now
from search.storage.store import Store
from search.storage.tables import Slot
from search.view.wording import count

log = logging.getLogger(__name__)

ON_ITS_WAY: tuple[DesiredState, ...] = ("moving",)

Tokens = Mapping[int, int]
"""Each slot's token by its number; it grows whenever a slot is claimed or changed."""


@contextmanager
def departing(store: Store, handle: StudyHandle, to: str) -> Iterator[DesiredState]:
    """Refuse claims and changes of a study within this block; yields the state that was desired before.

    A failure restores that state. A process killed within leaves a study that waits for the next move, or for
    `give_up`. Raises SpecConflict.
    """
    refuse_held(store, handle)
    before = _note(store, handle, to)
    with store.write() as connection:
        control.change(connection, handle.study_id, {"desired_state": "moving"}, (*HERE, *ON_ITS_WAY))
        _fence(store, connection, handle)
    try:
        refuse_held(store, handle)
        yield before
    except BaseException:
        _undo(store, handle, before)
        raise


def refuse_held(store: Store, handle: StudyHandle) -> None:
    """Raise SpecConflict while workers hold slots of the study: they would continue in the old storage."""
    leased = [r for r in budget.rows(store, handle.study_id) if (r.expires_in or 0.0) > 0.0 and r.owner]
    if leased:
        who = ", ".join(sorted({str(row.owner) for row in leased}))
        raise SpecConflict(
            f"study {handle.name!r} has {count(len(leased), 'slot')} in the hands of {who}: stop them first with "
            f"`omad-search stop {handle.name}`, and wait until they have left; "
            f"of workers that were killed the slots are free in {max(r.expires_in or 0.0 for r in leased):.0f} s"
        )


def close(store: Store, copied: Mapping[StudyHandle, Tokens]) -> None:
    """Let studies be elsewhere from now on, all at once. Raises SpecConflict where one is not as it was copied."""
    with store.write() as connection:
        for handle, tokens in copied.items():
            control.change(connection, handle.study_id, {"desired_state": "moved"}, ON_ITS_WAY)
            query = select(Slot.number, Slot.token).where(Slot.study_id == handle.study_id)
            if {row.number: row.token for row in connection.execute(query)} != tokens:
                raise SpecConflict(
                    f"study {handle.name!r} was taken up again while it was copied: move it again"
                )


def give_up(store: Store, handle: StudyHandle) -> None:
    """Let a study whose move was killed continue in this storage. Raises SpecConflict for any other study."""
    refuse_confirmation(handle, "moved")
    if handle.desired_state != "moving":
        refuse_moved(store, handle)
        raise SpecConflict(f"study {handle.name!r} is not being moved: there is nothing to give up")
    _refuse_at_its_end(_read_attributes(store, handle), store, handle)
    for each in reversed(pair(store, handle)):  # the search last: until then, this can be done again
        if each.desired_state == "moving":
            budget.set_desired_state(store, each.study_id, "running", ON_ITS_WAY)


def _note(store: Store, handle: StudyHandle, to: str) -> DesiredState:
    """Record where a study is moved to; the state that was desired before its first move."""
    attributes = _read_attributes(store, handle)
    before: DesiredState = handle.desired_state
    if handle.desired_state == "moving":
        _refuse_at_its_end(attributes, store, handle)
        before = attributes.get(MOVING, {}).get("wanted", "running")
    with store.guard():
        if attributes.get(ARRIVING):  # an earlier move, which brought it here, was killed at its last step
            store.rdb.set_study_user_attr(handle.study_id, ARRIVING, False)
        note = {"to": to, "wanted": before, **liveness.identity()}
        store.rdb.set_study_user_attr(handle.study_id, MOVING, note)
    return before


def _read_attributes(store: Store, handle: StudyHandle) -> Mapping[str, Any]:
    with store.guard():
        return store.rdb.get_study_user_attrs(handle.study_id)


def _refuse_at_its_end(attributes: Mapping[str, Any], store: Store, handle: StudyHandle) -> None:
    """Raise SpecConflict for the unfinished copy of a study, and for one that a process here is still moving."""
    if attributes.get(ARRIVING):
        refuse_moved(store, handle)
    mover = attributes.get(MOVING, {})
    here = mover.get("machine") == liveness.machine() and mover.get("pid") != psutil.Process().pid
    if here and not liveness.is_gone(mover):
        raise SpecConflict(
            f"process {mover['pid']} is moving study {handle.name!r} to {mover.get('to')} right now: wait, or end it"
        )


def _fence(store: Store, connection: Any, handle: StudyHandle) -> None:
    """Raise the tokens of free slots, so that no claim begun before succeeds."""
    free = or_(Slot.expires_at.is_(None), Slot.expires_at <= now())
    statement = update(Slot).where(Slot.study_id == handle.study_id, free)
    connection.execute(statement.values(token=Slot.token + 1))


def _undo(store: Store, handle: StudyHandle, before: DesiredState) -> None:
    try:
        budget.set_desired_state(store, handle.study_id, before, ON_ITS_WAY)
    except SearchError as error:
        log.warning("study %s could not be put back as it was: %s", handle.name, error)
