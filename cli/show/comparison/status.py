"""A comparison at this moment, once or until nothing is left to train."""

from collections.abc import Iterable

from rich.live import Live

from cli.show import numbers
from cli.show.comparison.live import ComparisonLiveView, progress
from cli.show.comparison.table import ComparisonReport
from cli.show.console import out, say
from search.comparison.view import ComparisonView


def show(comparison: ComparisonView) -> None:
    """How far each algorithm is; of one that has ended, what it shows."""
    if comparison.ended:
        out().print(ComparisonReport(comparison), crop=False)
    else:
        out().print(ComparisonLiveView(comparison, _elapsed(comparison), whole=True))


def watch(views: Iterable[tuple[ComparisonView, str]]) -> None:
    """Show a comparison again and again until it has ended; `views`: with a sentence while its storage is away."""
    console = out()
    if not console.is_terminal:
        _speak(views)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for comparison, outage in views:
            live.update(
                ComparisonLiveView(comparison, _elapsed(comparison), outage or "Ctrl-C ends this view"),
                refresh=True,
            )
            if comparison.ended:
                break
    show(comparison)


def _speak(views: Iterable[tuple[ComparisonView, str]]) -> None:
    """A line whenever something has changed, then the report."""
    last = ""
    for comparison, outage in views:
        line = outage or progress(comparison)
        if line != last:
            say(f"{numbers.duration(_elapsed(comparison)):>7}  {line}")
            last = line
        if comparison.ended:
            show(comparison)
            return


def _elapsed(comparison: ComparisonView) -> float:
    """Seconds since the first of its studies began."""
    return max(study.elapsed_seconds for algorithm in comparison.algorithms for study in algorithm.studies)
