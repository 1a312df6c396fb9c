"""Looking at a study: opens its storage, finds it, reads it."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.slots.study import StudyHandle
    from search.slots.view import StudyView, TrialView
    from search.storage.store import Store

MLFLOW_DEFAULT = "sqlite:///mlflow.db"


@contextmanager
def found(storage: str, study: str | None) -> "Iterator[tuple[Store, StudyHandle]]":
    """The storage and the study of this name, or the only one there is. Raises StudyNotFound."""
    from search.errors import StudyNotFound
    from search.slots.study import list_studies, open_study
    from search.storage.store import look_into

    with look_into(storage) as store:
        if study is not None:
            yield store, open_study(store, study)
            return
        studies = list_studies(store)
        if len(studies) != 1:
            names = ", ".join(handle.name for handle in studies) or "none"
            raise StudyNotFound(f"which study? Storage {store.address} has: {names}")
        yield store, studies[0]


def view(storage: str, study: str | None, tracking: str | None, recent: int | None = None) -> "StudyView":
    """The study as it stands now; `recent`: how many of the newest trials are read whole."""
    with found(storage, study) as (store, handle):
        return read(store, handle, tracking, recent)


def read(
    store: "Store", handle: "StudyHandle", tracking: str | None, recent: int | None = None
) -> "StudyView":
    """A study that was found, as it stands now."""
    from search.slots import status

    with status.uncollected():
        return status.read(store, handle, recorded(handle, tracking), recent=recent)


def with_model(trial: "TrialView | None", tracking: str | None) -> "TrialView | None":
    """A trial with the address of its model: of one that is stored and not yet published, MLflow is asked."""
    from cli.console import say
    from tracking import mlflow_address
    from tracking.errors import TrackingError

    if trial is None or trial.run_id is None or trial.state != "complete" or trial.model_uri:
        return trial
    try:
        path = mlflow_address.sqlite_path(mlflow_address.resolve(tracking))
        if path is not None and not path.exists():
            return trial  # looking creates nothing
        from tracking.mlflow_tracker import MlflowTracker

        return dataclasses.replace(trial, model_uri=MlflowTracker(tracking).model_of(trial.run_id))
    except TrackingError as error:
        say(f"the model of trial {trial.number} cannot be looked up: {error}", stderr=True)
        return trial


def recorded(handle: "StudyHandle", tracking: str | None) -> str:
    """Where a study is recorded, as it may be shown: as it was said now, or when that began."""
    return shown(tracking) if tracking or not handle.tracking else handle.tracking


def shown(tracking: str | None) -> str:
    """The tracking address as it may be shown."""
    from tracking.redact import redact

    return redact(tracking or MLFLOW_DEFAULT)
