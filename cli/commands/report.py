"""omad-search report: the page of a study, or of a comparison."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_STORAGE, Json, Storage, StudyIfAny, Tracking
from cli.setup import lookup
from cli.show import json_output

if TYPE_CHECKING:
    from search.reports.page.builder import RenderedPage
    from search.slots.studies import StudyHandle
    from search.storage.store import Store
    from tracking.tracker import Tracker


def report(
    study: StudyIfAny = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE.html", help="Where to write it; without it, STUDY-report.html."),
    ] = None,
    json: Json = False,
) -> None:
    """Write the page of a study or a comparison: one HTML file that shows all that was found, in any browser.

    It is also stored in the study's run in MLflow. With --json, its numbers are printed and nothing is written.
    """
    from cli.process.conclusion import keep_page
    from search.comparison.members import members
    from search.confirmation.pair import search_of
    from search.reports.page.builder import file_name, make
    from search.storage.store import look_into

    _refuse_out(out)
    tracker = _tracker(tracking)
    with look_into(storage) as store:
        if study is not None and (searches := members(store, study)):
            name, run_id = study, None if json else _run_of_comparison(store, searches, tracker)
            made = _of_comparison(store, searches, tracker, tracking)
        else:
            with lookup.open_study_for_reading(storage, study) as (_, opened):
                handle = search_of(store, opened)
            name, run_id = handle.name, handle.tracking_run
            made = make(store, handle, tracker, lookup.tracking_address(handle, tracking))
    if json:
        json_output.show(made.document)
        return
    keep_page(made, out or file_name(name), tracker, run_id)


def _of_comparison(
    store: "Store", searches: "list[StudyHandle]", tracker: "Tracker | None", tracking: str | None
) -> "RenderedPage":
    from search.comparison.page import make

    return make(store, searches, tracker, lookup.tracking_address(searches[0], tracking))


def _run_of_comparison(
    store: "Store", searches: "list[StudyHandle]", tracker: "Tracker | None"
) -> str | None:
    """The id of the run above those of its studies; None where it cannot be reached."""
    from search.comparison.members import comparison_of
    from search.comparison.run import comparison_info
    from search.study.study_spec import StudySpec
    from tracking.errors import TrackingError

    own = comparison_of(searches[0])
    if tracker is None or own is None:
        return None
    try:
        return tracker.open_run(comparison_info(StudySpec.from_json(searches[0].spec), own, store.address))
    except TrackingError:
        return None


def _tracker(tracking: str | None) -> "Tracker | None":
    """MLflow where there is one: making a page makes no database."""
    from tracking.mlflow import address as mlflow_address
    from tracking.mlflow.tracker import MlflowTracker

    path = mlflow_address.sqlite_path(mlflow_address.resolve(tracking))
    return None if path is not None and not path.exists() else MlflowTracker(tracking)


def _refuse_out(out: Path | None) -> None:
    from omad_core.errors import ConfigError

    if out is None:
        return
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder: name a file in it, such as {out / 'report.html'}")
    if not out.resolve().parent.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {out.resolve().parent}; make it first")
