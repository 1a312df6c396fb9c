"""omad-search move: a study to another storage or tracking server, half-trained trials included."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli import looking
from cli.console import say
from cli.options import DEFAULT_STORAGE, Storage, StudyName

if TYPE_CHECKING:
    from search.records.moving import CopyRuns
    from search.slots.study import StudyHandle
    from search.storage.store import Store


def move(
    study: StudyName,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", envvar="OMAD_MOVE_TO", metavar="URL", help="The new storage; made if it is empty."
        ),
    ] = None,
    tracking: Annotated[
        str | None,
        typer.Option(
            "--tracking",
            envvar="OMAD_MOVE_TRACKING",
            metavar="URI",
            help="The new MLflow server or database; runs, models and checkpoints are copied to it.",
        ),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    from_tracking: Annotated[
        str | None,
        typer.Option(
            "--from-tracking",
            envvar="MLFLOW_TRACKING_URI",
            metavar="URI",
            help="The MLflow server or database that the study has now.",
        ),
    ] = None,
    give_up: Annotated[
        bool,
        typer.Option("--give-up", help="Of a move that was killed: have the study go on in --storage."),
    ] = False,
) -> None:
    """Move a study to another storage, such as from SQLite to PostgreSQL, or its records to another MLflow server.

    Refused while workers are at it. Nobody may work at it or steer it meanwhile. What is left behind stays as it is.
    Interrupted, do it again, or give it up.
    """
    from omad_core.errors import ConfigError
    from search.records import moving
    from search.slots.study import open_study
    from search.storage.store import open_storage
    from search.storage.urls import parse
    from tracking import mlflow_address
    from tracking.redact import redact

    if give_up:
        _give_up(study, storage)
        return
    if to is None and tracking is None:
        raise ConfigError("where to? Write --to for another storage, --tracking for another MLflow server")
    if to is not None and parse(storage) == parse(to):
        raise ConfigError("--to names the storage in which the study is already")
    with open_storage(storage) as source:
        handle = open_study(source, study)
        copy = _copying(source, handle, from_tracking, tracking) if tracking else dict
        new = redact(mlflow_address.resolve(tracking)) if tracking else None
        if to is None:
            moving.move_runs(source, handle, copy, new)
            _tell(source, handle, tracking)
            return
        with open_storage(to, create=True) as target:
            _tell(target, moving.move(source, handle, target, copy, new), tracking)


def _give_up(study: str, storage: str) -> None:
    from search.slots import departure

    with looking.found(storage, study) as (store, handle):
        departure.give_up(store, handle)
        say(f"study {study} goes on in {store.address}; what was copied of it elsewhere can be copied again")


def _copying(store: "Store", handle: "StudyHandle", old: str | None, new: str) -> "CopyRuns":
    """Copies the study's runs from one MLflow store to the other."""
    from search.records.whereabouts import copied, refuse_elsewhere, refuse_same
    from search.slots import budget
    from tracking.mlflow_moving import copy_study
    from tracking.mlflow_tracker import MlflowTracker

    def copy() -> dict[str, str]:
        rows = budget.rows(store, handle.study_id)
        runs = [row.mlflow_run_id for row in rows if row.mlflow_run_id is not None]
        source, target = MlflowTracker(old), MlflowTracker(new)
        source.check()
        refuse_elsewhere(handle, source, "--from-tracking")
        if source.address != target.address:  # of one and the same, copying says so
            refuse_same(handle, target)
        ids = copy_study(source, target, handle.name, handle.uid, f"omad-{handle.name}", runs)
        return copied(store, handle, target, ids)

    return copy


def _tell(store: "Store", handle: "StudyHandle", tracking: str | None) -> None:
    from search.slots import budget

    counts = budget.counts(store, handle.study_id)
    where = f"--storage {store.address}" + (f" --tracking {looking.shown(tracking)}" if tracking else "")
    say(
        f"study {handle.name} is in its new place: {counts.done + counts.failed} of {counts.total} trials ended, "
        f"{counts.resumable} half-trained; `omad-search worker {handle.name} {where}` goes on"
    )
