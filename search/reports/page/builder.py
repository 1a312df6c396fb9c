"""Builder: a study's page from what the storage and MLflow know of it, written here and stored in its run."""

import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omad_core.results.statistics import Summary
from search.errors import CannotDraw
from search.reports import final_report
from search.reports.page import reproduction, sections, view
from search.reports.page.content import Film
from search.reports.page.film import film_of
from search.reports.page.page import render
from search.reports.page.view import StudyPage
from search.slots.studies import StudyHandle
from search.storage.reader import Reader
from search.view.report_view import ReportView
from search.view.views import StudyView
from tracking.errors import TrackingError
from tracking.tracker import Tracker

ARTIFACT = "report.html"


@dataclass(frozen=True)
class RenderedPage:
    """A page, and the numbers on it."""

    html: str
    document: Mapping[str, Any]


def file_name(study: str) -> Path:
    """Where a page is written without another place named: in the working folder, under the study's name."""
    return Path(f"{study}-{ARTIFACT}")


def make(
    store: Reader,
    handle: StudyHandle,
    tracker: Tracker | None,
    tracking: str = "",
    final: ReportView | None = None,
) -> RenderedPage:
    """The page of a study; `final`: its final evaluation, read from MLflow where it is not given.

    `tracker`: None where there is no MLflow store to read from.

    Raises StorageUnavailable, StudyDeleted.
    """
    page = read(store, handle, tracker, tracking, final)
    shown = film(page.study, handle, tracker)
    content = sections.content(page, shown, reproduction.versions(page.study, tracker))
    return RenderedPage(render(content), view.document(page))


def store(page: RenderedPage, tracker: Tracker, run_id: str) -> None:
    """Keep a page as an artifact of a run. Raises TrackingError."""
    with tempfile.TemporaryDirectory(prefix="omad-page-") as folder:
        file = Path(folder) / ARTIFACT
        file.write_text(page.html, encoding="utf-8")
        tracker.upload(run_id, {ARTIFACT: file})


def read(
    store: Reader,
    handle: StudyHandle,
    tracker: Tracker | None,
    tracking: str = "",
    final: ReportView | None = None,
) -> StudyPage:
    """What the page shows."""
    page = view.read(store, handle, tracking, final)
    if final is None and tracker is not None and handle.tracking_run is not None:
        return view.with_returns(page, _stored_returns(page.study, tracker, handle.tracking_run))
    return page


def film(
    study: StudyView, handle: StudyHandle, tracker: Tracker | None, name: str = "best"
) -> Film | CannotDraw:
    """A film of the best policy, or why there is none."""
    best = study.best
    if best is None:
        return CannotDraw("no trial completed, so there is no policy to film")
    if tracker is None:
        return CannotDraw("there is no MLflow store here to fetch the policy from")
    try:
        runs = [run for run in (best.run_id, handle.tracking_run) if run]
        return film_of(best, study.task, tracker, runs, name)
    except CannotDraw as error:
        return error


def _stored_returns(study: StudyView, tracker: Tracker, run_id: str) -> Mapping[str, Summary]:
    """Returns on fresh episodes, as the last final report has them; none where that was of another best trial."""
    with tempfile.TemporaryDirectory(prefix="omad-report-") as folder:
        file = Path(folder) / final_report.REPORT
        try:
            tracker.download(run_id, final_report.REPORT, file)
            stored = json.loads(file.read_text())
        except (TrackingError, ValueError):
            return {}
    if study.best is None or stored.get("best_trial") != study.best.number:
        return {}
    return {name: _summary(stored[name]) for name in ("best", "default", "random") if stored.get(name)}


def _summary(stored: Mapping[str, Any]) -> Summary:
    return Summary(stored["mean"], math.nan, stored["low"], stored["high"], stored["episodes"])
