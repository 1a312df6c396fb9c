"""Leases: who works at which trial, how fast, and how long each may still be silent."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import OverflowMethod, RenderResult
from rich.table import Table
from rich.text import Text

from cli import words
from search.slots.view import StudyView, TrialView

GOES_ON = {"running": "worker", "paused": "resume", "stopping": "run --study"}
"""What has a study go on that nobody is at work for; one that has left this storage does so nowhere here."""
OVERHEAD = 4
"""Lines beside the rows: the head of the table, its rule, and empty ones around."""


def lines(study: StudyView, most: int) -> int:
    """Lines that the leases take, with up to so many rows."""
    rows = min(len(study.leased), most)
    return rows + OVERHEAD + (rows < len(study.leased)) if rows else 0


def leases(study: StudyView, most: int, overflow: OverflowMethod = "ellipsis") -> RenderResult:
    """A row for each of up to `most` leases."""
    held = study.leased[:most]
    if held:
        yield _table(held, overflow)
    if len(study.leased) > len(held):
        more = len(study.leased) - len(held)
        yield Text(f"and {more} more leases: omad-search status {study.name} --json", style="dim")


def sentence(study: StudyView) -> str:
    """All of them in one, such as `3 workers at work, 1 lease ran out`."""
    silent = sum((trial.lease_seconds or 0.0) <= 0.0 for trial in study.leased)
    tail = f", {silent} lease{'s' if silent > 1 else ''} ran out" if silent else ""
    if study.workers:
        return f"{len(study.workers)} worker{'s' if len(study.workers) > 1 else ''} at work{tail}"
    next_command = None if study.ended else GOES_ON.get(study.wanted)
    return f"nobody is at work{tail}" + (f": omad-search {next_command} {study.name}" if next_command else "")


def left(trial: TrialView) -> str:
    """What is left of a lease."""
    seconds = trial.lease_seconds or 0.0
    if seconds <= 0.0:
        return f"ran out {_seconds(-seconds)} ago"
    return f"{_seconds(seconds)} left" + (" (sending)" if trial.ended else "")


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else words.duration(seconds)


def _table(held: Sequence[TrialView], overflow: OverflowMethod) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("worker")  # the one that is made shorter where there is no room
    table.add_column("device", no_wrap=True)
    for title in ("trial", "step", "steps/s", "attempt"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("lease", no_wrap=True)
    for trial in held:
        lives = (trial.lease_seconds or 0.0) > 0.0
        training = lives and not trial.ended
        table.add_row(
            Text(trial.worker, no_wrap=True, overflow=overflow),
            trial.device,
            str(trial.number),
            f"{trial.step:,}",
            words.rate(trial.steps_per_second) if training else "",
            str(max(trial.attempt, 1)) if training else "",  # counted anew from every checkpoint
            left(trial),
            style="" if lives else "yellow",
        )
    return table
