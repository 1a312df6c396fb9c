"""Pair: a search and its confirmation, which are one thing to a person."""

import json
from collections.abc import Collection, Sequence
from functools import lru_cache

from sqlalchemy import Connection, select

from omad_core.errors import ConfigError
from search.errors import SpecConflict, StudyNotFound
from search.slots import control
from search.slots.lease import HERE, DesiredState
from search.slots.studies import StudyHandle, list_studies, open_study
from search.storage.reader import Reader
from search.storage.store import Store
from search.storage.tables import Control
from search.study.confirmation import Parent, confirmation_name


def parent_of(handle: StudyHandle) -> Parent | None:
    """The search that a study confirms; None of a search."""
    return _parent(handle.spec)


def confirmation_of(store: Reader, handle: StudyHandle) -> StudyHandle | None:
    """The confirmation of a search, if it has one. Raises StorageUnavailable."""
    return next((study for study in list_studies(store) if _is_of(study.spec, handle.uid)), None)


def search_of(store: Reader, handle: StudyHandle) -> StudyHandle:
    """The search of a pair, by either of the two. Raises StudyNotFound where a confirmation's was deleted."""
    parent = parent_of(handle)
    if parent is None:
        return handle
    namesake = open_study(store, parent.name)
    if namesake.uid != parent.uid:
        raise StudyNotFound(
            f"study {parent.name!r} is not the one that {handle.name!r} confirms: that was deleted"
        )
    return namesake


def pair(store: Reader, handle: StudyHandle) -> list[StudyHandle]:
    """The search, then its confirmation where it has one, by either of the two."""
    search = search_of(store, handle)
    confirmation = confirmation_of(store, search)
    return [search] if confirmation is None else [search, confirmation]


def in_pairs(handles: Sequence[StudyHandle]) -> list[StudyHandle]:
    """Every search with its confirmation behind it; one whose search is gone stands at the end."""
    searches = [handle for handle in handles if parent_of(handle) is None]
    behind = [(study, parent) for study in handles if (parent := parent_of(study)) is not None]
    paired = [
        each
        for search in searches
        for each in (search, *(other for other, parent in behind if parent.uid == search.uid))
    ]
    return [*paired, *(other for other, _ in behind if other not in paired)]


def ids(connection: Connection, handle: StudyHandle) -> list[int]:
    """Ids of a search's confirmations within a transaction that has changed the search's own row."""
    rows = connection.execute(select(Control.study_id, Control.spec)).all()
    return [row.study_id for row in rows if _is_of(row.spec, handle.uid)]


def refuse_confirmation(handle: StudyHandle, what: str) -> None:
    """Raise SpecConflict for a confirmation, which follows from its search."""
    if parent := parent_of(handle):
        raise SpecConflict(
            f"study {handle.name!r} is the confirmation of {parent.name!r} and cannot be {what} by itself: "
            f"name {parent.name!r} instead"
        )


def refuse_taken(store: Store, study: str, uid: str | None) -> None:
    """Raise SpecConflict where the name of a study's confirmation is another study's; `uid`: of a study that exists."""
    try:
        name = confirmation_name(study)
    except ConfigError:
        return  # an old name that is too long; `confirm` says so
    with store.guard():
        taken = any(each.study_name == name for each in store.rdb.get_all_studies())
    if not taken:
        return
    namesake = next((handle for handle in list_studies(store) if handle.name == name), None)
    if namesake is not None and uid is not None and _is_of(namesake.spec, uid):
        return
    if namesake is None and uid is not None:
        return  # begun and not finished, or foreign: creation finds out under its lock
    raise SpecConflict(name_taken(store, name, study))


def name_taken(store: Store, name: str, study: str) -> str:
    """Why a confirmation cannot have its name."""
    return (
        f"storage {store.address} has a study {name!r} that is not the confirmation of this {study!r}: choose another "
        "name with --study, or leave the confirmation out with --no-confirm"
    )


@lru_cache(maxsize=1_000)
def _parent(spec: str) -> Parent | None:
    document = json.loads(spec)
    parent = document.get("parent") if isinstance(document, dict) else None
    return Parent(**parent) if parent else None


def _is_of(spec: str, uid: str) -> bool:
    parent = _parent(spec)
    return parent is not None and parent.uid == uid


def set_desired_state(
    store: Store, handle: StudyHandle, state: DesiredState, since: Collection[DesiredState] = HERE
) -> None:
    """What is desired of a search and its confirmation, in one transaction. Raises SpecConflict in other states."""
    search = search_of(store, handle)
    with store.write() as connection:
        control.change(connection, search.study_id, {"desired_state": state}, since)
        for study_id in ids(connection, search):
            control.change(connection, study_id, {"desired_state": state}, since)
