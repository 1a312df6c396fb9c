"""Whereabouts: the one MLflow store that a study is recorded in, known by the study's own run in it."""

from collections.abc import Mapping

from sqlalchemy import update

from search.errors import SpecConflict
from search.records.overview import parent_info
from search.slots.study import StudyHandle, open_study
from search.spec.spec import StudySpec
from search.storage.store import Store
from search.storage.tables import Control
from tracking.redact import redact
from tracking.tracker import Tracker


def recorded_in(store: Store, handle: StudyHandle, tracker: Tracker) -> StudyHandle:
    """The study, recorded in this MLflow store from now on if it was in none. Raises SpecConflict for another."""
    if handle.tracking_run is None:
        handle = _begin(store, handle, tracker)
    refuse_elsewhere(handle, tracker)
    return handle


def refuse_elsewhere(handle: StudyHandle, tracker: Tracker, option: str = "--tracking") -> None:
    """Raise SpecConflict where a study is recorded in another store than this one.

    Addresses are not compared: one server has other names on other machines, and one name is many files.
    """
    if handle.tracking_run is None or tracker.has_run(handle.tracking_run):
        return
    raise SpecConflict(
        f"study {handle.name!r} is recorded in {handle.tracking}, and {redact(tracker.address)} does not have it "
        f"(its run {handle.tracking_run} is not there): give the address of the former with {option}"
    )


def refuse_same(handle: StudyHandle, tracker: Tracker) -> None:
    """Raise SpecConflict where a study is recorded in this store already, perhaps under another address."""
    if handle.tracking_run is not None and tracker.has_run(handle.tracking_run):
        raise SpecConflict(f"study {handle.name!r} is recorded in {redact(tracker.address)} already")


def copied(store: Store, handle: StudyHandle, tracker: Tracker, ids: Mapping[str, str]) -> dict[str, str]:
    """Old id to new id of the runs copied to a store, the study's own among them even where it had been deleted."""
    if handle.tracking_run is None or handle.tracking_run in ids:
        return dict(ids)
    info = parent_info(StudySpec.from_json(handle.spec), handle, store.address)
    return {**ids, handle.tracking_run: tracker.open_run(info)}


def _begin(store: Store, handle: StudyHandle, tracker: Tracker) -> StudyHandle:
    """Open the study's run and note it; of several that do so at once, one is right."""
    run_id = tracker.open_run(parent_info(StudySpec.from_json(handle.spec), handle, store.address))
    unknown = (Control.study_id == handle.study_id, Control.tracking_run.is_(None))
    with store.write() as connection:
        values = {"tracking": redact(tracker.address), "tracking_run": run_id}
        connection.execute(update(Control).where(*unknown).values(values))
    found = open_study(store, handle.name)
    if found.tracking_run != run_id:
        tracker.discard_run(run_id)
    return found
