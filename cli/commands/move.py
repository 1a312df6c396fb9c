"""omad-search move: a study to another storage or tracking server, half-trained trials included."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_STORAGE, Storage, Studies
from cli.setup import lookup
from cli.show import numbers
from cli.show.console import say

if TYPE_CHECKING:
    from search.slots.studies import StudyHandle
    from search.steering.move import CopyRuns
    from search.storage.store import Store
    from tracking.mlflow.tracker import MlflowTracker


def move(
    study: Studies,
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

    Refused while workers hold its trials. It can be neither trained nor steered until the move ends. The source stays.
    Interrupted, do it again, or give it up.
    """
    from omad_core.errors import ConfigError
    from search.steering import move as moving
    from search.storage.store import open_storage
    from search.storage.urls import parse
    from tracking.mlflow import address as mlflow_address
    from tracking.redaction import redact

    if give_up:
        _give_up(study, storage)
        return
    if to is None and tracking is None:
        raise ConfigError("where to? Write --to for another storage, --tracking for another MLflow server")
    if to is not None and parse(storage) == parse(to):
        raise ConfigError("--to names the storage in which the study is already")
    with open_storage(storage) as source:
        handles = lookup.searches(source, study)
        copy = _copying(source, handles, from_tracking, tracking) if tracking else dict
        new = redact(mlflow_address.resolve(tracking)) if tracking else None
        if to is None:
            moving.move_runs(source, handles, copy, new)
            _tell(source, handles, tracking)
            return
        with open_storage(to, create=True) as target:
            _tell(target, moving.move_all(source, handles, target, copy, new), tracking)


def _give_up(study: str, storage: str) -> None:
    from search.steering import move_guard

    with lookup.open_searches_for_reading(storage, study) as (store, handles):
        on_their_way = [handle for handle in handles if handle.desired_state == "moving"]
        for each in on_their_way or handles:
            move_guard.give_up(store, each)
            say(
                f"study {each.name} goes on in {store.address}; what was copied of it elsewhere can be copied again"
            )


def _copying(source: "Store", handles: "Sequence[StudyHandle]", old: str | None, new: str) -> "CopyRuns":
    """Copies the runs of studies and of their confirmations from one MLflow store to the other."""
    from search.confirmation.pair import pair
    from tracking.mlflow.tracker import MlflowTracker

    def copy() -> dict[str, str]:
        ends = MlflowTracker(old), MlflowTracker(new)
        ends[0].check()
        ids: dict[str, str] = {}
        for study in handles:
            ids |= _copy_pair(source, pair(source, study), *ends)
        return ids

    return copy


def _copy_pair(
    store: "Store", studies: "Sequence[StudyHandle]", source: "MlflowTracker", target: "MlflowTracker"
) -> dict[str, str]:
    """Copy the runs of a search and its confirmation; old id to new id."""
    from search.recording.tracking_store import map_runs, refuse_elsewhere, refuse_same
    from search.slots import budget
    from search.study.study_spec import StudySpec
    from tracking.mlflow.copy.study import copy_study

    rows = [row for study in studies for row in budget.rows(store, study.study_id)]
    runs = [row.mlflow_run_id for row in rows if row.mlflow_run_id is not None]
    search = studies[0]
    refuse_elsewhere(search, source, "--from-tracking")
    if source.address != target.address:  # of one and the same, copying says so
        refuse_same(search, target)
    spec = StudySpec.from_json(search.spec)
    above = [spec.comparison.uid] if spec.comparison else []  # the comparison's own run goes with each study
    uids = [*above, *(study.uid for study in studies)]
    ids = copy_study(source, target, spec.experiment, uids, f"omad-{search.name}", runs)
    for study in studies:
        ids = map_runs(store, study, target, ids)
    return ids


def _tell(store: "Store", handles: "Sequence[StudyHandle]", tracking: str | None) -> None:
    from search.slots import budget

    where = f"--storage {store.address}" + (
        f" --tracking {lookup.redact_tracking(tracking)}" if tracking else ""
    )
    for study in handles:
        counts = budget.counts(store, study.study_id)
        say(
            f"study {study.name} is in its new place: {counts.done + counts.failed} of "
            f"{numbers.count(counts.total, 'trial')} ended, "
            f"{counts.resumable} half-trained; `omad-search worker {study.name} {where}` goes on"
        )
