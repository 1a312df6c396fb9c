"""The final report: what a study found, beside the defaults and random play, and what to type next."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from cli.show import numbers
from cli.show.tables import FoldingTable
from omad_core.results.statistics import Summary
from search.reports.markdown import chosen
from search.view.confirmation import CandidateView, ConfirmationView, comparison_sentence
from search.view.report_view import ReportView
from search.view.views import StudyView, TrialView

MOST_SEEDS = 5
"""Held-out seeds that have a column; with more, values are left to `--json`."""


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
            yield from _confirmed(self.report)
            yield FoldingTable(_returns(self.report, study.best))
            yield Text(chosen(study.count("complete")), style="dim")
            yield FoldingTable(parameter_table(study.best, study.default))
        yield from next_commands(self.commands)


def _confirmed(report: ReportView) -> RenderResult:
    """What held on seeds that no search has seen; it comes first."""
    confirmation = report.confirmation
    if confirmation is None:
        return
    yield confirmed_sentence(confirmation)
    yield confirmed_table(confirmation)
    yield from other_candidates(confirmation)


def _headline(study: StudyView) -> str:
    ended = [
        f"{study.count(state)} {state}"
        for state in ("complete", "pruned", "diverged", "failed")
        if study.count(state)
    ]
    done = sum(trial.ended for trial in study.trials)
    return (
        f"{study.name}: {done} of {numbers.count(len(study.trials), 'trial')} ended "
        f"in {numbers.duration(study.elapsed_seconds)} ({', '.join(ended) or 'none'})"
    )


def _returns(report: ReportView, best: TrialView) -> Table:
    """Best, defaults and random play, a row each."""
    default = report.study.default
    rows = [(f"best, trial {best.number}", report.best, best.score)]
    if default is None or default.number != best.number:
        name = f"defaults, trial {default.number}" if default else "defaults"
        rows.append((name, report.default, _score(default)))
    rows.append(("random play", report.random, None))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for title in ("", "return", "95 % over episodes", "episodes", "score in the search"):
        table.add_column(title, justify="left" if not title else "right", no_wrap=bool(title))
    for name, returns, score in rows:
        if returns is not None or score is not None:
            table.add_row(name, *_interval(returns), numbers.score(score) if score is not None else "")
    return table


def _score(trial: TrialView | None) -> float | None:
    return trial.score if trial else None


def _interval(returns: Summary | None) -> tuple[str, str, str]:
    if returns is None:
        return "-", "", ""
    interval = f"{numbers.score(returns.low)} to {numbers.score(returns.high)}"
    return numbers.score(returns.mean), interval, str(returns.count)


def parameter_table(best: TrialView, default: TrialView | None) -> Table:
    """The best trial's parameters beside the untuned ones."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("parameter")
    table.add_column("best", justify="right", style="bold")
    table.add_column("default", justify="right")
    untuned = default.params if default else {}
    for path in [*best.params, *(path for path in untuned if path not in best.params)]:
        values = (numbers.value(side[path]) if path in side else "" for side in (best.params, untuned))
        table.add_row(path, *values)
    return table


def next_commands(commands: Sequence[tuple[str, str]]) -> RenderResult:
    """A comment and a command each: never wrapped, so that they can be copied."""
    if not commands:
        return
    yield Text("What next:")
    lines = [line for command, purpose in commands for line in (f"  # {purpose}", f"  {command}")]
    yield Group(*(Text(line, no_wrap=True, overflow="ignore") for line in lines))


def confirmed_sentence(confirmation: ConfirmationView) -> Text:
    """What may be said of the best and the defaults."""
    return Text(f"{confirmation.study.parent}: {confirmation.sentence}", style="bold")


def confirmed_table(confirmation: ConfirmationView) -> FoldingTable:
    """A row a candidate: the best, the defaults, then the others."""
    seeds = sorted({seed for candidate in confirmation.candidates for seed in candidate.values})
    shown = seeds if len(seeds) <= MOST_SEEDS else []
    grid = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    grid.add_column(f"on {len(seeds)} held-out seeds")
    for seed in shown:
        grid.add_column(f"seed {seed}", justify="right", no_wrap=True)
    grid.add_column("interquartile mean", justify="right")
    grid.add_column("95 % interval", justify="right", no_wrap=True)
    for candidate in confirmation.candidates:
        values = [_held_out(candidate, seed) for seed in shown]
        point = numbers.score(candidate.estimate.point if candidate.estimate else None)
        grid.add_row(candidate.name, *values, point, _over_seeds(candidate))
    return FoldingTable(grid)


def other_candidates(confirmation: ConfirmationView) -> list[Text]:
    """A line for each candidate beside the best: its difference, and the p-value corrected for their number."""
    lines = []
    for candidate in confirmation.candidates:
        if candidate.best or candidate.difference is None:
            continue
        p = "" if candidate.p_corrected is None else f" (p {candidate.p_corrected:.2g} after Holm)"
        lines.append(Text(f"{candidate.name}: {comparison_sentence(candidate.difference)}{p}"))
    return lines


def _held_out(candidate: CandidateView, seed: int) -> str:
    note = candidate.notes.get(seed, "")
    value = candidate.values.get(seed)
    return note if value is None and note else numbers.score(value) + ("*" if note else "")


def _over_seeds(candidate: CandidateView) -> str:
    known = candidate.estimate
    if known is None or known.low is None:
        return "-"
    return f"{numbers.score(known.low)} to {numbers.score(known.high)}"
