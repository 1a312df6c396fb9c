"""The final report: what a study found, beside the defaults and random play, and what to type next."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from cli import words
from search.slots.view import ReportView, Returns, StudyView, TrialView


@dataclass(frozen=True)
class Report:
    """What `run` says when it ends; to be printed with `crop=False`, so that commands stay whole."""

    report: ReportView
    commands: Sequence[tuple[str, str]] = ()
    """What to type next, and what for."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        study = self.report.study
        yield Text(_headline(study), style="bold")
        if study.best is None:
            yield Text("No trial completed, so there is no best one.")
        else:
            yield _returns(self.report, study.best)
            yield parameter_table(study.best, study.default)
        yield from _next(self.commands)


def _headline(study: StudyView) -> str:
    ended = [
        f"{study.count(state)} {state}"
        for state in ("complete", "pruned", "diverged", "failed")
        if study.count(state)
    ]
    done = sum(trial.ended for trial in study.trials)
    return (
        f"{study.name}: {done} of {len(study.trials)} trials ended "
        f"in {words.duration(study.elapsed_seconds)} ({', '.join(ended) or 'none'})"
    )


def _returns(report: ReportView, best: TrialView) -> Table:
    """Best, defaults and random play, a row each."""
    default = report.study.default
    rows = [
        (f"best, trial {best.number}", report.best, best.score),
        (f"defaults, trial {default.number}" if default else "defaults", report.default, _score(default)),
        ("random play", report.random, None),
    ]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for title in ("", "return", "95 % interval", "episodes", "score in the search"):
        table.add_column(title, justify="left" if not title else "right", no_wrap=bool(title))
    for name, returns, score in rows:
        if returns is not None or score is not None:
            table.add_row(name, *_interval(returns), words.score(score) if score is not None else "")
    return table


def _score(trial: TrialView | None) -> float | None:
    return trial.score if trial else None


def _interval(returns: Returns | None) -> tuple[str, str, str]:
    if returns is None:
        return "-", "", ""
    interval = f"{words.score(returns.low)} to {words.score(returns.high)}"
    return words.score(returns.mean), interval, str(returns.episodes)


def parameter_table(best: TrialView, default: TrialView | None) -> Table:
    """The best trial's parameters beside the untuned ones."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("parameter")
    table.add_column("best", justify="right", style="bold")
    table.add_column("default", justify="right")
    untuned = default.params if default else {}
    for path in [*best.params, *(path for path in untuned if path not in best.params)]:
        values = (words.value(side[path]) if path in side else "" for side in (best.params, untuned))
        table.add_row(path, *values)
    return table


def _next(commands: Sequence[tuple[str, str]]) -> RenderResult:
    """A comment and a command each: never wrapped, so that they can be copied."""
    if not commands:
        return
    yield Text("What next:")
    lines = [line for command, purpose in commands for line in (f"  # {purpose}", f"  {command}")]
    yield Group(*(Text(line, no_wrap=True, overflow="ignore") for line in lines))
