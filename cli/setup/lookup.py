"""Lookup: opens the storage of a study for reading, finds the study, reads it."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.slots.studies import StudyHandle
    from search.storage.store import Store
    from search.view.confirmation import ConfirmationView
    from search.view.views import StudyView, TrialView

MLFLOW_DEFAULT = "sqlite:///mlflow.db"


@contextmanager
def open_study_for_reading(storage: str, study: str | None) -> "Iterator[tuple[Store, StudyHandle]]":
    """The storage and the study of this name, or the only one there is. Raises StudyNotFound."""
    from search.comparison.members import members
    from search.confirmation.pair import parent_of
    from search.errors import StudyNotFound
    from search.slots.studies import list_studies, open_study
    from search.storage.store import look_into

    with look_into(storage) as store:
        if study is not None:
            if several := members(store, study):
                raise StudyNotFound(
                    f"{study} is a comparison of algorithms: name one of its studies, "
                    f"{', '.join(each.name for each in several)}"
                )
            yield store, open_study(store, study)
            return
        studies = [handle for handle in list_studies(store) if parent_of(handle) is None]
        if len(studies) != 1:
            names = ", ".join(handle.name for handle in studies) or "none"
            raise StudyNotFound(f"which study? Storage {store.address} has: {names}")
        yield store, studies[0]


@contextmanager
def open_searches_for_reading(storage: str, name: str) -> "Iterator[tuple[Store, list[StudyHandle]]]":
    """The storage, and the study of this name or the studies of the comparison of this name. Raises StudyNotFound."""
    from search.storage.store import look_into

    with look_into(storage) as store:
        yield store, searches(store, name)


def is_comparison(storage: str, name: str) -> bool:
    """Whether a comparison of algorithms has this name."""
    from search.comparison.members import members
    from search.storage.store import look_into

    with look_into(storage) as store:
        return bool(members(store, name))


def searches(store: "Store", name: str) -> "list[StudyHandle]":
    """The study of this name, or those of the comparison of this name. Raises StudyNotFound."""
    from search.comparison.members import members
    from search.slots.studies import open_study

    return members(store, name) or [open_study(store, name)]


def view(storage: str, study: str | None, tracking: str | None, recent: int | None = None) -> "StudyView":
    """The study as it stands now; `recent`: how many of the newest trials are read whole."""
    with open_study_for_reading(storage, study) as (store, handle):
        return read(store, handle, tracking, recent)


def view_of_pair(
    storage: str, study: str | None, tracking: str | None, recent: int | None = None
) -> "tuple[StudyView, ConfirmationView | None]":
    """The study as it stands now, and what its confirmation showed; None where it has none."""
    from search.confirmation.pair import confirmation_of

    with open_study_for_reading(storage, study) as (store, handle):
        study_view = read(store, handle, tracking, recent)
        if confirmation_of(store, handle) is None:
            return study_view, None
        from search.view import confirmation

        return study_view, confirmation.read(store, handle, tracking_address(handle, tracking))


def read_current(
    store: "Store", handle: "StudyHandle", tracking: str | None, recent: int | None = None
) -> "StudyView":
    """What a study is at: its search, then, once that has ended, its confirmation."""
    from search.confirmation.pair import confirmation_of

    study_view = read(store, handle, tracking, recent)
    held_out = confirmation_of(store, handle) if study_view.ended else None
    return study_view if held_out is None else read(store, held_out, tracking, recent)


def read(
    store: "Store", handle: "StudyHandle", tracking: str | None, recent: int | None = None
) -> "StudyView":
    """A study that was found, as it stands now."""
    from search.view import status

    with status.gc_paused():
        return status.read(store, handle, tracking_address(handle, tracking), recent=recent)


def with_model(trial: "TrialView | None", tracking: str | None) -> "TrialView | None":
    """A trial with the address of its model: of one that is stored and not yet published, MLflow is asked."""
    from cli.show.console import say
    from tracking.errors import TrackingError
    from tracking.mlflow import address as mlflow_address

    if trial is None or trial.run_id is None or trial.state != "complete" or trial.model_uri:
        return trial
    try:
        path = mlflow_address.sqlite_path(mlflow_address.resolve(tracking))
        if path is not None and not path.exists():
            return trial  # looking creates nothing
        from tracking.mlflow.tracker import MlflowTracker

        return dataclasses.replace(trial, model_uri=MlflowTracker(tracking).model_of(trial.run_id))
    except TrackingError as error:
        say(f"the model of trial {trial.number} cannot be looked up: {error}", stderr=True)
        return trial


def tracking_address(handle: "StudyHandle", tracking: str | None) -> str:
    """Where a study is recorded, as it may be shown: as it was said now, or when that began, or where it was moved."""
    from tracking.mlflow.moved_database import present_address
    from tracking.redaction import shown_address

    if tracking or not handle.tracking:
        return redact_tracking(tracking)
    return shown_address(present_address(handle.tracking, handle.tracking_run))


def redact_tracking(tracking: str | None) -> str:
    """The tracking address as it may be shown."""
    from tracking.redaction import redact

    return redact(tracking or MLFLOW_DEFAULT)
