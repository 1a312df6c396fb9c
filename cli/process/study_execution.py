"""Execution of a study: search and confirmation brought to their end by workers of this machine, then concluded."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.show import numbers
from cli.show.console import say

if TYPE_CHECKING:
    from cli.process.placement import Plan
    from cli.process.study_monitor import StudyMonitor
    from cli.setup.creation import OpenedStudy
    from search.storage.store import Store
    from search.view.views import StudyView
    from tracking.tracker import Tracker


@dataclass(frozen=True)
class StudyExecution:
    """A study that is to be brought to its end."""

    store: "Store"
    tracker: "Tracker"
    opened: "OpenedStudy"
    storage: str
    tracking: str | None
    planned: "Callable[[int], Plan]"
    """Workers for so many trainings that are left."""
    search: bool = True
    """Whether what is left of the search is part of it."""
    confirm: bool = True
    """Whether the confirmation is part of it."""


def bring_to_end(study: StudyExecution) -> int:
    """Run workers until nothing is left to do; then the report. Returns the exit code."""
    from cli.process.conclusion import conclude
    from cli.process.group import Assignment, build_supervisor, print_failures
    from cli.process.study_monitor import StudyMonitor
    from search.checkpoints.workdir import open_workdir
    from search.confirmation.pair import pair
    from search.confirmation.work import work_left
    from tracking.redaction import shown_address

    store, handle = study.store, study.opened.handle
    left = work_left(store, handle, study.search, study.confirm)
    if left.nothing:
        return conclude(store, study.tracker, study.opened, None)
    options = () if study.confirm else ("--no-confirm",)
    joined = handle if study.search else pair(store, handle)[-1]
    workers = build_supervisor(
        study.planned(left.side_by_side),
        Assignment.study(joined),
        open_workdir(),
        study.storage,
        study.tracking,
        options,
    )
    shown = shown_address(study.tracker.address)
    monitor = StudyMonitor(workers, store, handle, shown, study.search, study.confirm)
    view = monitor.run()
    if monitor.workers.failed:
        code = print_failures(monitor.workers)
        if not monitor.ended:
            return code
    if monitor.interrupted or not monitor.ended:
        return _print_interrupted(monitor, view)
    return conclude(store, study.tracker, study.opened, view)


def _print_interrupted(monitor: "StudyMonitor", view: "StudyView") -> int:
    from cli.errors import INTERRUPTED

    held_out = monitor.confirmation
    both = f"{sum(trial.ended for trial in view.trials)} of {numbers.count(len(view.trials), 'trial')}"
    if held_out is not None:
        trainings = numbers.count(len(held_out.trials), "held-out training")
        both += f" and {sum(t.ended for t in held_out.trials)} of {trainings}"
    say(f"stopped with {both} ended; the same command again continues", stderr=True)
    return INTERRUPTED if monitor.interrupted else 1
