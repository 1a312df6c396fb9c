"""Conclusion: the end of `run`: its report, or what became of a study that found nothing, and what to type next."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import FAILURE
from cli.process.publication import await_publication
from cli.process.status_line import status_line
from cli.setup.creation import OpenedStudy
from cli.show import numbers
from cli.show.console import out, say
from cli.show.plain_lines import failure_lines
from cli.show.report import Report
from search.checkpoints.workdir import open_workdir
from search.confirmation.pair import confirmation_of, pair
from search.recording.study_run import parent_info
from search.reports import final_report
from search.slots import budget
from search.slots.studies import StudyHandle, open_study
from search.storage.store import Store
from search.view import attributes, confirmation, status
from search.view.report_view import ReportView
from search.view.views import StudyView
from tracking.redaction import shown_address

if TYPE_CHECKING:
    from search.reports.page.builder import RenderedPage
    from tracking.tracker import Tracker

log = logging.getLogger(__name__)


def conclude(store: Store, tracker: "Tracker", opened: OpenedStudy, view: StudyView | None) -> int:
    """Report on a study that has ended; `view`: how it was seen last, None for one that had ended before.

    Returns the exit code: a failure where no trial completed, or MLflow lacks results.
    """
    study = ended_view(store, opened.handle, view)
    if view is None:
        more = len(study.trials) + 10
        say(f"study {study.name} is finished; `--trials {more}` gives it more trials", stderr=True)
    if await_publication(store, opened.handle):
        study = replace(study, trials=status.read(store, opened.handle).trials)
    code = _say_unpublished(store, opened)
    for line in failure_lines(study):
        say(line, stderr=True)
    report = _evaluate(study, opened, tracker) if study.best else ReportView(study)
    report = replace(report, confirmation=confirmation.read(store, opened.handle))
    out().print(
        Report(report, commands(study, opened, confirmed=report.confirmation is not None)), crop=False
    )
    final_report.store(report, opened.spec, tracker, parent_info(opened.spec, opened.handle, store.address))
    attributes.store_attributes(store, opened.handle, confirmation_of(store, opened.handle), report)
    _end_confirmation(store, tracker, opened)
    _make_page(store, tracker, opened, report)
    return code if study.best else FAILURE


def ended_view(store: Store, handle: StudyHandle, view: StudyView | None) -> StudyView:
    """The study with the time that its own trials took, which is neither its confirmation's nor this command's."""
    current = status.read(store, handle, "")
    return current if view is None else replace(view, elapsed_seconds=current.elapsed_seconds)


def _make_page(store: Store, tracker: "Tracker", opened: OpenedStudy, report: ReportView) -> None:
    from search.reports.page.builder import file_name, make

    with status_line("making the page"):
        handle = open_study(store, opened.handle.name)
        made = make(store, handle, tracker, shown_address(tracker.address), report)
    keep_page(made, file_name(handle.name), tracker, handle.tracking_run)


def keep_page(
    made: "RenderedPage", file: Path, tracker: "Tracker | None", run_id: str | None, *, stderr: bool = False
) -> None:
    """Write a page here and store it in a run, and say where it is; what cannot be done a warning names."""
    from search.reports.page.builder import ARTIFACT, store
    from tracking.errors import TrackingError

    artifact = ""
    if tracker is not None and run_id is not None:
        try:
            store(made, tracker, run_id)
            artifact = f", and {ARTIFACT} of its run in MLflow"
        except TrackingError as error:
            log.warning("the page is not stored in MLflow: %s", error)
    try:
        file.write_text(made.html, encoding="utf-8")
    except OSError as error:
        log.warning("the page cannot be written to %s: %s", file, error.strerror or error)
        return
    say(f"Page: {file}{artifact}", stderr=stderr)


def _end_confirmation(store: Store, tracker: "Tracker", opened: OpenedStudy) -> None:
    """Its own run is shown as running until the report is made."""
    for handle in pair(store, opened.handle)[1:]:
        if handle.tracking_run is not None:
            tracker.end_run(handle.tracking_run, "finished")


def commands(view: StudyView, opened: OpenedStudy, *, confirmed: bool = True) -> list[tuple[str, str]]:
    """What to type next, and what for."""
    name, task = opened.handle.name, opened.spec.task
    again = f"omad-search run --task {task}" if name == task else f"omad-search run --study {name}"
    failed, look = (
        view.count("failed"),
        ("omad-search ui", "look at trials, curves and models in the MLflow UI"),
    )
    retry = [
        (f"omad-search retry {name} --failed", "open the failed trials again, once their cause is mended"),
        (again, "train them"),
    ]
    if view.best is None:
        return [*(retry if failed else []), (f"omad-search status {name}", "see why each trial ended"), look]
    confirm = (f"omad-search confirm {name}", "train the best and the defaults again on held-out seeds")
    return [
        *([] if confirmed else [confirm]),
        look,
        (f"omad-search evaluate models:/omad-{name}@champion", "evaluate the best model again"),
        (f"omad-search export {name} --to policy", "take its policy home, as files"),
        *(retry[:1] if failed else []),
        (f"{again} --trials {len(view.trials) + 10}", "give it ten more trials"),
    ]


def _evaluate(view: StudyView, opened: OpenedStudy, tracker: "Tracker") -> ReportView:
    episodes = opened.spec.final_episodes
    what = f"evaluating the best model, the defaults and random play on {episodes} fresh episodes"
    say(what, stderr=True)
    with status_line(what) as wait:
        return final_report.report(view, opened.spec, tracker, wait)


def _say_unpublished(store: Store, opened: OpenedStudy) -> int:
    """Say what MLflow does not have, and the report thus lacks; the exit code."""
    handle = opened.handle
    count = sum(len(budget.unpublished(store, each.study_id)) for each in pair(store, handle))
    if not count:
        return 0
    results, them = numbers.count(count, "result"), "it" if count == 1 else "them"
    say(
        f"{results} could not be sent to MLflow, so the report may lack models; why, say the logs in "
        f"{open_workdir().logs(handle.name, handle.uid)}. `omad-search sync {handle.name}` sends {them}, "
        "then this command again makes the report",
        stderr=True,
    )
    return FAILURE
