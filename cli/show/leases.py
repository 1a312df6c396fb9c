"""Leases: which worker trains which trial, how fast, and until when its lease runs."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, OverflowMethod, RenderResult
from rich.table import Table
from rich.text import Text

from cli.show import numbers
from cli.show.tables import drop_columns
from search.view.views import StudyView, TrialView

RESUMED_BY = {"running": "worker", "paused": "resume", "stopping": "run --study"}
"""By the state of a study without workers: the command that resumes it. A study that was moved is not resumed here."""
SPARE = ("attempt", "steps/s", "device", "step")
"""Columns that a narrow terminal has no room for, the least important first."""
WORKER_WIDTH = 12
"""Characters of a worker's name that are worth more than a column."""
OVERHEAD = 4
"""Lines beside the rows: the head of the table, its rule, and empty ones around."""


def count_lines(study: StudyView, most: int) -> int:
    """Lines that the leases take, with up to so many rows."""
    rows = min(len(study.leased), most)
    return rows + OVERHEAD + (rows < len(study.leased)) if rows else 0


def render(
    study: StudyView, most: int, console: Console, width: int, overflow: OverflowMethod = "ellipsis"
) -> RenderResult:
    """A row for each of up to `most` leases."""
    leased = study.leased[:most]
    if leased:
        shortened = max(0, max(len(trial.worker) for trial in leased) - WORKER_WIDTH)
        yield drop_columns(console, _table(leased, overflow), width + shortened, SPARE)
    if len(study.leased) > len(leased):
        more = len(study.leased) - len(leased)
        yield Text(f"and {more} more leases: omad-search status {study.name} --json", style="dim")


def summarise(study: StudyView) -> str:
    """One line for all leases, such as `3 workers at work, 1 lease ran out`."""
    silent = sum((trial.lease_seconds or 0.0) <= 0.0 for trial in study.leased)
    tail = f", {silent} lease{'s' if silent > 1 else ''} ran out" if silent else ""
    if study.workers:
        return f"{len(study.workers)} worker{'s' if len(study.workers) > 1 else ''} at work{tail}"
    next_command = None if study.ended else RESUMED_BY.get(study.wanted)
    return f"nobody is at work{tail}" + (f": omad-search {next_command} {study.name}" if next_command else "")


def format_remaining(trial: TrialView) -> str:
    """What is left of a lease."""
    seconds = trial.lease_seconds or 0.0
    if not seconds:
        return "its process is gone"
    if seconds < 0.0:
        return f"ran out {_seconds(-seconds)} ago"
    return f"{_seconds(seconds)} left" + (" (sending)" if trial.ended else "")


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else numbers.duration(seconds)


def _table(leased: Sequence[TrialView], overflow: OverflowMethod) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("worker")  # the one that is made shorter where there is no room
    table.add_column("device", no_wrap=True)
    for title in ("trial", "step", "steps/s", "attempt"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("lease", no_wrap=True)
    for trial in leased:
        lives = (trial.lease_seconds or 0.0) > 0.0
        training = lives and not trial.ended
        table.add_row(
            Text(trial.worker, no_wrap=True, overflow=overflow),
            trial.device,
            str(trial.number),
            f"{trial.step:,}",
            numbers.rate(trial.steps_per_second) if training else "",
            str(max(trial.attempt, 1)) if training else "",  # counted anew from every checkpoint
            format_remaining(trial),
            style="" if lives else "yellow",
        )
    return table
