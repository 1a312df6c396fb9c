"""The end of a comparison: what it shows, a row a setting, values by seed, and what to type next."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from cli.show import numbers
from cli.show.report import next_commands
from cli.show.tables import FoldingTable
from search.comparison import sentences, tables
from search.comparison.view import ComparisonView

RETURNS = 5
"""Columns that are of returns; those behind them are of what these took."""
MOST_SEEDS = 10
"""Seeds that have a column of their own; of more, values are left to `--json` and the page."""


@dataclass(frozen=True)
class ComparisonReport:
    """What `compare` says when it ends; to be printed with `crop=False`, so that commands stay whole."""

    comparison: ComparisonView
    commands: Sequence[tuple[str, str]] = ()
    """What to type next, and what for."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        comparison = self.comparison
        yield Text(sentences.shown(comparison), style="bold")
        yield Text(sentences.not_shown(comparison))
        if comparison.settings:
            yield FoldingTable(_returns(comparison))
            yield FoldingTable(_efforts(comparison))
            yield FoldingTable(_values(comparison))
        yield FoldingTable(_searches(comparison))
        for algorithm in comparison.algorithms:
            if algorithm.confirmation is not None:
                yield Text(f"{algorithm.name} against its own defaults: {algorithm.confirmation.sentence}")
        yield from next_commands(self.commands)


def _returns(comparison: ComparisonView) -> Table:
    """What each setting reaches, beside the first algorithm's."""
    table = _table("", *(_in_lines(title) for title in tables.headings(comparison)[:RETURNS]))
    for setting in comparison.settings:
        table.add_row(setting.name, *tables.cells(comparison, setting)[:RETURNS])
    return table


def _efforts(comparison: ComparisonView) -> Table:
    """What each setting takes to get there."""
    table = _table("a training", *tables.headings(comparison)[RETURNS:])
    for setting in comparison.settings:
        table.add_row(setting.name, *tables.cells(comparison, setting)[RETURNS:])
    return table


def _in_lines(title: str) -> str:
    """A column's title in two lines, so that the column is as wide as its numbers."""
    first, _, rest = title.partition(" % " if " % " in title else " ")
    return f"{first} %\n{rest}" if " % " in title else f"{first}\n{rest}".strip()


def _values(comparison: ComparisonView) -> Table:
    seeds = comparison.seeds if len(comparison.seeds) <= MOST_SEEDS else []
    table = _table(
        f"on {numbers.count(len(comparison.seeds), 'held-out seed')}", *(f"seed {n}" for n in seeds)
    )
    for setting in comparison.settings if seeds else []:
        table.add_row(setting.name, *(tables.value(setting, seed) for seed in seeds))
    return table


def _searches(comparison: ComparisonView) -> Table:
    table = _table("search", "trials", "completed", "best score in the search", "cost")
    unit = "GPU s" if comparison.on_gpu else "CPU s"
    for algorithm in comparison.algorithms:
        best, seconds = algorithm.search.best, algorithm.search_seconds
        table.add_row(
            algorithm.name,
            str(len(algorithm.search.trials)),
            str(algorithm.search.count("complete")),
            numbers.score(best.score if best else None),
            "-" if seconds is None else f"{seconds:,.0f} {unit}",
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(first, no_wrap=True, vertical="bottom")
    for title in others:
        table.add_column(title, justify="right", vertical="bottom")
    return table
