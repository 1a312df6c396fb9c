"""A comparison at this moment, once or until nothing is left to train."""

from collections.abc import Iterable

from rich.live import Live

from cli.show import numbers
from cli.show.comparison.live import ComparisonLiveView, progress
from cli.show.comparison.table import ComparisonReport
from cli.show.console import out, say
from search.comparison.view import ComparisonView


def show(seen: ComparisonView) -> None:
    """How far each algorithm is; of one that has ended, what it shows."""
    if seen.ended:
        out().print(ComparisonReport(seen), crop=False)
    else:
        out().print(ComparisonLiveView(seen, _elapsed(seen)))


def watch(views: Iterable[tuple[ComparisonView, str]]) -> None:
    """Show a comparison again and again until it has ended; `views`: with a sentence while its storage is away."""
    console = out()
    if not console.is_terminal:
        _speak(views)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for seen, outage in views:
            live.update(
                ComparisonLiveView(seen, _elapsed(seen), outage or "Ctrl-C ends this view"), refresh=True
            )
            if seen.ended:
                break
    show(seen)


def _speak(views: Iterable[tuple[ComparisonView, str]]) -> None:
    """A line whenever something has changed, then the report."""
    last = ""
    for seen, outage in views:
        line = outage or progress(seen)
        if line != last:
            say(f"{numbers.duration(_elapsed(seen)):>7}  {line}")
            last = line
        if seen.ended:
            show(seen)
            return


def _elapsed(seen: ComparisonView) -> float:
    """Seconds since the first of its studies began."""
    return max(study.elapsed_seconds for each in seen.algorithms for study in each.studies)
