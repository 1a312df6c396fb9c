"""Execution of a comparison: its studies brought to their end by workers of this machine, then concluded."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cli.errors import FAILURE, INTERRUPTED
from cli.process.comparison_monitor import ComparisonMonitor
from cli.process.conclusion import keep_page
from cli.process.group import Assignment, build_supervisor, print_failures
from cli.process.placement import Plan
from cli.process.publication import await_publication
from cli.process.status_line import status_line
from cli.setup.comparison import OpenedComparison
from cli.show import json_output
from cli.show.comparison.live import progress
from cli.show.comparison.table import ComparisonReport
from cli.show.console import out, say
from cli.show.numbers import count
from cli.show.plain_lines import failure_lines
from search.checkpoints.workdir import open_workdir
from search.comparison import run as comparison_run
from search.comparison import tables, view
from search.comparison.view import AlgorithmView, ComparisonView
from search.comparison.work import ComparisonWork, work_left
from search.confirmation.pair import pair
from search.slots import budget
from search.slots.studies import StudyHandle, open_study
from search.storage.store import Store
from search.view import attributes
from search.view.confirmation import confirmed_tags
from search.view.report_view import ReportView
from tracking.redaction import shown_address
from tracking.tracker import Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ComparisonExecution:
    """A comparison that is to be brought to its end."""

    store: Store
    tracker: Tracker
    opened: OpenedComparison
    storage: str
    tracking: str | None
    planned: Callable[[int], Plan]
    """Workers for so many trainings that are left."""
    level: float | None = None
    """The return to which steps are counted."""
    page: Path | None = None
    """Where the page is written to as well, its figure and numbers beside it."""
    json: bool = False

    @property
    def searches(self) -> list[StudyHandle]:
        """Its studies, the first algorithm's first."""
        return [study.handle for study in self.opened.studies]

    def read(self) -> ComparisonView:
        """The comparison as it stands."""
        return view.read(self.store, self.searches, shown_address(self.tracker.address), self.level)

    def left(self) -> ComparisonWork:
        """What is left to do."""
        return work_left(self.store, self.searches, self.opened.wish)


def bring_comparison_to_end(comparing: ComparisonExecution) -> int:
    """Run workers until nothing is left to do; then the report. Returns the exit code."""
    left, before = comparing.left(), None
    while not left.nothing and left != before:
        monitor = _work(comparing, left)
        if monitor.workers.failed:
            code = print_failures(monitor.workers)
            if not monitor.view.ended:
                return code
        if monitor.interrupted:
            say(
                f"stopped: {progress(monitor.view)} ended; the same command again continues",
                stderr=True,
            )
            return INTERRUPTED
        # What was typed here alone, more held-out seeds, is due once a search has ended, whoever ended it.
        left, before = comparing.left(), left
    return _conclude(comparing)


def _work(comparing: ComparisonExecution, left: ComparisonWork) -> ComparisonMonitor:
    opened = comparing.opened
    workers = build_supervisor(
        comparing.planned(left.side_by_side),
        Assignment.comparison(opened.name, opened.studies[0].spec),
        open_workdir(),
        comparing.storage,
        comparing.tracking,
    )
    monitor = ComparisonMonitor(workers, comparing.read, lines_to_stderr=comparing.json)
    monitor.watch(live=not comparing.json)
    return monitor


def _conclude(comparing: ComparisonExecution) -> int:
    """Show, store and write what was found; a failure where something is left, or an algorithm has nothing."""
    for search in comparing.searches:
        await_publication(comparing.store, search)
    studies = [each for search in comparing.searches for each in pair(comparing.store, search)]
    comparison = comparing.read()
    for algorithm in comparison.algorithms:
        for study in algorithm.studies:
            for line in failure_lines(study):
                say(f"{study.name}: {line}", stderr=True)
    if comparing.json:
        json_output.show(tables.document(comparison))
    else:
        out().print(ComparisonReport(comparison, _commands(comparison)), crop=False)
    if comparing.page is not None:
        comparison_run.write(comparison, comparing.page)
        say(f"written to {comparing.page}", stderr=True)
    run_id = comparison_run.record(comparison, comparing.tracker, comparing.opened.run)
    for algorithm, search in zip(comparison.algorithms, comparing.searches, strict=True):
        _end_runs(comparing, algorithm, search)
    _make_page(comparing, run_id)
    whole = all(
        each.tuned is not None and each.tuned.candidate.estimate is not None for each in comparison.algorithms
    )
    return _say_unpublished(comparing, studies) or (0 if whole else FAILURE)


def _make_page(comparing: ComparisonExecution, run_id: str) -> None:
    from search.comparison.page import make
    from search.reports.page.builder import file_name

    searches, tracking = comparing.searches, shown_address(comparing.tracker.address)
    with status_line("making the page"):
        made = make(comparing.store, searches, comparing.tracker, tracking, comparing.level)
    keep_page(made, file_name(comparing.opened.name), comparing.tracker, run_id, stderr=comparing.json)


def _end_runs(comparing: ComparisonExecution, algorithm: AlgorithmView, search: StudyHandle) -> None:
    """The runs of an algorithm's studies: ended, where nothing is left, with what its confirmation showed."""
    store, tracker = comparing.store, comparing.tracker
    searched, *behind = pair(store, open_study(store, search.name))
    report = ReportView(algorithm.search, confirmation=algorithm.confirmation)
    attributes.store_attributes(store, searched, behind[0] if behind else None, report)
    if searched.tracking_run is not None and algorithm.confirmation is not None:
        tracker.set_tags(searched.tracking_run, confirmed_tags(algorithm.confirmation))
    for study in (searched, *behind):
        if study.tracking_run is not None and algorithm.ended:
            successful = algorithm.search.best is not None
            tracker.end_run(study.tracking_run, "finished" if successful else "failed")


def _say_unpublished(comparing: ComparisonExecution, studies: list[StudyHandle]) -> int:
    """Say which results MLflow does not have; the exit code."""
    lacking = [study.name for study in studies if budget.unpublished(comparing.store, study.study_id)]
    if not lacking:
        return 0
    say(
        f"{count(len(lacking), 'study')} could not send all results to MLflow ({', '.join(lacking)}): "
        f"`omad-search sync {lacking[0]}` sends them",
        stderr=True,
    )
    return FAILURE


def _commands(comparison: ComparisonView) -> list[tuple[str, str]]:
    """What to type next, and what for."""
    best = max(
        (algorithm for algorithm in comparison.algorithms if algorithm.search.best is not None),
        key=lambda each: (
            each.tuned.candidate.estimate.point
            if each.tuned and each.tuned.candidate.estimate
            else float("-inf")
        ),
        default=None,
    )
    commands = [("omad-search ui", "look at tables, figure, curves and models in the MLflow UI")]
    if best is not None:
        champion = f"models:/omad-{best.search.name}@champion"
        commands.append(
            (f"omad-search evaluate {champion}", f"evaluate the model that {best.name} found best")
        )
    failed = [
        study.name
        for algorithm in comparison.algorithms
        for study in algorithm.studies
        if study.count("failed")
    ]
    commands += [(f"omad-search retry {name} --failed", "open its failed trials again") for name in failed]
    return commands
