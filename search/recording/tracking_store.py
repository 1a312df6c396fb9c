"""The one MLflow store that a study is recorded in, known by the study's runs in it."""

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import update

from search.errors import SpecConflict
from search.recording.study_run import parent_info
from search.slots import budget
from search.slots.studies import StudyHandle, open_study
from search.storage.store import Store
from search.storage.tables import Control
from search.study.study_spec import StudySpec
from tracking.mlflow.moved_database import FILE, is_missing
from tracking.redaction import redact
from tracking.tracker import Tracker


def ensure_recorded(store: Store, handle: StudyHandle, tracker: Tracker) -> StudyHandle:
    """The study, recorded in this MLflow store from now on if it was in none.

    Raises SpecConflict for another store, TrackingRefused where nothing can be recorded in this one.
    """
    tracker.check_study(StudySpec.from_json(handle.spec).experiment)
    if handle.tracking_run is None:
        handle = _begin(store, handle, tracker)
    if not _has_trials(store, handle, tracker):  # its own run may have been deleted for good
        refuse_elsewhere(handle, tracker)
    return _correct_address(store, handle, tracker)


def _correct_address(store: Store, handle: StudyHandle, tracker: Tracker) -> StudyHandle:
    """The study; where its database file was moved, with the address that it has now."""
    now = redact(tracker.address)
    if not now.startswith(FILE) or not is_missing(handle.tracking or ""):
        return handle
    with store.write() as connection:
        mine = (Control.study_id == handle.study_id, Control.tracking_run == handle.tracking_run)
        connection.execute(update(Control).where(*mine).values(tracking=now))
    return replace(handle, tracking=now)


def _has_trials(store: Store, handle: StudyHandle, tracker: Tracker) -> bool:
    """Whether this is the store with the runs of the study's trials; those of a copy have other ids."""
    if handle.tracking_run is None or tracker.has_run(handle.tracking_run):
        return False
    runs = [row.mlflow_run_id for row in budget.rows(store, handle.study_id) if row.mlflow_run_id is not None]
    return any(tracker.has_run(run_id) for run_id in runs)


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


def map_runs(store: Store, handle: StudyHandle, tracker: Tracker, ids: Mapping[str, str]) -> dict[str, str]:
    """Old id to new id of the runs copied to a store, with the study's own run even where it had been deleted."""
    if handle.tracking_run is None or handle.tracking_run in ids:
        return dict(ids)
    info = parent_info(StudySpec.from_json(handle.spec), handle, store.address)
    return {**ids, handle.tracking_run: tracker.open_run(info)}


def _begin(store: Store, handle: StudyHandle, tracker: Tracker) -> StudyHandle:
    """Open the study's run and record it; of several workers that do so at once, the first one's is kept."""
    run_id = tracker.open_run(parent_info(StudySpec.from_json(handle.spec), handle, store.address))
    unknown = (Control.study_id == handle.study_id, Control.tracking_run.is_(None))
    with store.write() as connection:
        values = {"tracking": redact(tracker.address), "tracking_run": run_id}
        connection.execute(update(Control).where(*unknown).values(values))
    current = open_study(store, handle.name)
    if current.tracking_run != run_id:
        tracker.discard_run(run_id)
    return current
