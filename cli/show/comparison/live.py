"""A comparison while it runs: a row an algorithm, below them the trainings that are at work."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.table import Table
from rich.text import Text

from cli.show import numbers
from cli.show.sparkline import scale, sparkline
from cli.show.status import SHORT_NAMES, STYLES, fitting
from cli.show.tables import drop_columns
from search.comparison.view import AlgorithmView, ComparisonView
from search.view.views import StudyView, TrialView

OVERHEAD = 9
"""Lines beside the rows of algorithms and trainings."""
CURVE_WIDTH = 16
SPARE = ("updates/s", "steps/s", "curve", "state", "return")
"""Columns of trainings that a narrow terminal has no room for, the least important first."""
SPARE_OF_ALGORITHMS = ("left", "defaults")


@dataclass(frozen=True)
class ComparisonLiveView:
    """What `compare` shows while it runs."""

    comparison: ComparisonView
    elapsed_seconds: float = 0.0
    note: str = ""
    """One line below all, such as what Ctrl-C does."""
    whole: bool = False
    """Whether lines that are too long go on in the next, as in what is printed once; else they are cut off."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        comparison, overflow = self.comparison, "fold" if self.whole else fitting(options)
        places = (
            f"{comparison.algorithms[0].search.storage}  MLflow {comparison.algorithms[0].search.tracking}"
        )
        head = f"{comparison.name}  task {comparison.task}  {numbers.duration(self.elapsed_seconds)} elapsed  {places}"
        yield Text(head, style="bold", no_wrap=not self.whole, overflow=overflow)
        short = options.max_width < SHORT_NAMES
        algorithms = algorithm_table(comparison, short=short)
        yield drop_columns(console, algorithms, options.max_width, SPARE_OF_ALGORITHMS)
        room = max(2, options.size.height - OVERHEAD - len(comparison.algorithms))
        table = training_table(comparison, room, options.ascii_only, short=short)
        if table.row_count:
            yield drop_columns(console, table, options.max_width, SPARE)
        if self.note:
            yield Text(self.note, style="dim", no_wrap=True, overflow=overflow)


def algorithm_table(comparison: ComparisonView, *, short: bool = False) -> Table:
    """How far each algorithm is, and its best so far; `short`: with its columns close to one another."""
    table = _table(short)
    for title in ("algorithm", "trials", "best", "defaults", "held-\nout", "tuned,\nheld out", "left"):
        justify: JustifyMethod = "left" if title == "algorithm" else "right"
        table.add_column(title, justify=justify, no_wrap=True, vertical="bottom")
    for algorithm in comparison.algorithms:
        table.add_row(*_row(algorithm))
    return table


def _table(short: bool) -> Table:
    return Table(box=SIMPLE_HEAD, padding=(0, 0 if short else 1, 0, 0), pad_edge=False, show_edge=not short)


def _row(algorithm: AlgorithmView) -> list[str]:
    search, held_out = algorithm.search, algorithm.confirmation
    default = search.default.score if search.default and search.default.state == "complete" else None
    trained, value = "", ""
    if held_out is not None:
        trained = f"{sum(t.ended for t in held_out.study.trials)}/{len(held_out.study.trials)}"
        known = held_out.best.estimate if held_out.best else None
        value = numbers.score(known.point if known else None)
    current = search if not search.ended or held_out is None else held_out.study
    return [
        algorithm.name,
        f"{sum(t.ended for t in search.trials)}/{len(search.trials)}",
        numbers.score(search.best.score if search.best else None),
        numbers.score(default),
        trained,
        value,
        "ended" if algorithm.ended else numbers.remaining(current.eta_seconds),
    ]


def training_table(
    comparison: ComparisonView, room: int, ascii_only: bool = False, *, short: bool = False
) -> Table:
    """Trainings at work or half-trained, as many as there is room for; `short`: with short names."""
    rows_at_work = list(_at_work(comparison))
    low, high = scale(trial.curve for _, trial in rows_at_work)
    table = _table(short)
    for title in ("at work", "state", "steps", "curve", "return", "steps/s", "updates/s"):
        left = title in ("at work", "state", "curve")
        table.add_column(title, justify="left" if left else "right", no_wrap=True)
    for name, trial in rows_at_work[:room]:
        curve = sparkline(trial.curve, CURVE_WIDTH, low, high, ascii_only)
        running = trial.state == "running"
        rates = [
            numbers.rate(each) if running else ""
            for each in (trial.steps_per_second, trial.updates_per_second)
        ]
        steps = f"{trial.step:,}/{trial.env_steps:,}"
        state = Text(trial.state, style=STYLES[trial.state])
        training = trial.name.removeprefix("held-out ") if short else trial.name
        table.add_row(f"{name} {training}", state, steps, curve, numbers.score(trial.score), *rates)
    return table


def _at_work(comparison: ComparisonView) -> Sequence[tuple[str, TrialView]]:
    return [
        (algorithm.name, trial)
        for algorithm in comparison.algorithms
        for study in algorithm.studies
        for trial in study.trials
        if trial.state in ("running", "released")
    ]


def progress(comparison: ComparisonView) -> str:
    """Such as `omad 3/12 trials, hasac 12/12 trials and 4/10 held-out trainings`."""
    parts = []
    for algorithm in comparison.algorithms:
        part = f"{algorithm.name} {_ended(algorithm.search, 'trial')}"
        if algorithm.confirmation is not None:
            part += f" and {_ended(algorithm.confirmation.study, 'held-out training')}"
        parts.append(part)
    return ", ".join(parts)


def _ended(study: StudyView, what: str) -> str:
    return f"{sum(trial.ended for trial in study.trials)}/{numbers.count(len(study.trials), what)}"
