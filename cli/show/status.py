"""Status: a study as one renderable that fits itself to the terminal, printed by `status`, kept live by `run`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, JustifyMethod, OverflowMethod, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.show import leases, numbers
from cli.show.sparkline import scale, sparkline
from cli.show.tables import drop_columns, fits
from search.view.views import StudyView, TrialState, TrialView

WIDE_OVERHEAD, NARROW_OVERHEAD = 12, 10
"""Lines beside the rows of trials."""
MOST_ROWS = 100
"""Trials shown at most, however tall a terminal is; a file is as tall as one likes."""
LEASE_SHARE = 5
"""Up to one line of so many is a lease."""
SMALL = 30
"""Lines below which leases take the room of parameters."""
RATES = ("steps/s", "updates/s")
"""Columns that only a study at work has."""
SPARE = ("updates/s", "steps/s", "curve", "steps")
"""Columns of trials that a narrow terminal has no room for, the least important first."""
SHORT_NAMES = 50
"""Columns below which the title of held-out trainings says once what they are."""
BAR_WIDTH = 60
"""Columns from which on there is a progress bar."""
ENTRY_LINES = 3
"""Lines that the parameters of one trial take below a narrow table."""
STYLES: dict[TrialState, str] = {
    "waiting": "dim",
    "running": "cyan",
    "released": "yellow",
    "complete": "green",
    "pruned": "magenta",
    "diverged": "red",
    "failed": "red",
}


@dataclass(frozen=True)
class StatusView:
    """A study's head, table of trials and leases, as they fit."""

    study: StudyView
    note: str = ""
    """One line below all, such as what Ctrl-C does."""
    alarm: str = ""
    """One line above that, of what is wrong with what is shown."""
    leases: bool = False
    """Whether to show who works at which trial."""
    whole: bool = False
    """Whether lines that are too long go on in the next, as in what is printed once; else they are cut off."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height, overflow = min(options.size.height, MOST_ROWS + WIDE_OVERHEAD), fitting(options)
        lease_rows = height // LEASE_SHARE
        short = options.max_width < SHORT_NAMES
        small = self.leases and height < SMALL
        if self.leases:
            height -= 1 + leases.count_lines(self.study, lease_rows) + bool(self.alarm)
        trials = choose_shown(self.study, max(3, height - WIDE_OVERHEAD))
        table = trial_table(self.study, trials, wide=True, ascii_only=options.ascii_only)
        wide = fits(console, table, options.max_width)
        entries = 0 if wide or small else _entries(height)
        if not wide:
            trials = choose_shown(self.study, max(3, height - NARROW_OVERHEAD - entries * ENTRY_LINES))
            table = trial_table(self.study, trials, wide=False, ascii_only=options.ascii_only, short=short)
        table = drop_columns(console, table, options.max_width, SPARE)
        yield from header(self.study, options.max_width, overflow, whole=self.whole)
        if self.leases:
            yield Text(leases.summarise(self.study), no_wrap=not self.whole, overflow=overflow)
        yield table
        if hidden := sum(trial.state != "waiting" for trial in self.study.trials) - len(trials):
            yield Text(f"and {hidden} more: omad-search trials {self.study.name}", style="dim")
        if entries:
            yield parameter_lines(self.study, trials, entries)
        if self.leases:
            yield from leases.render(self.study, lease_rows, console, options.max_width, overflow)
        if self.alarm:
            yield Text(self.alarm, style="bold red", no_wrap=True, overflow=overflow)
        if self.note:
            yield Text(self.note, style="dim", no_wrap=True, overflow=overflow)


def fitting(options: ConsoleOptions) -> OverflowMethod:
    """How a line that is too long ends: rich's ellipsis cannot be written in ASCII."""
    return "crop" if options.ascii_only else "ellipsis"


def _entries(height: int) -> int:
    """Trials whose parameters are spelled out below a narrow table."""
    return 1 if height < 30 else 2 if height < 40 else 4


def choose_shown(study: StudyView, room: int) -> list[TrialView]:
    """The trials that matter most now, by number: those in work, the best, the defaults, the last ended."""
    begun = [trial for trial in study.trials if trial.state != "waiting"]
    marked = () if study.parent else (study.best, study.default)
    first = [trial for trial in begun if not trial.ended or trial in marked]
    rest = [trial for trial in reversed(begun) if trial not in first]
    return sorted([*first, *rest][:room], key=lambda trial: trial.number)


def header(
    study: StudyView, width: int, overflow: OverflowMethod = "ellipsis", *, whole: bool = False
) -> RenderResult:
    """Name and places, progress, best so far and time left."""
    told = "" if study.wanted == "running" or study.ended else f" ({study.wanted})"
    places = f"{study.name}{told}  task {study.task}  profile {study.profile}  {study.storage}  MLflow {study.tracking}"
    overflow = "fold" if whole else overflow
    yield Text(places, style="bold", no_wrap=not whole, overflow=overflow)
    done = sum(trial.ended for trial in study.trials)
    trials = f"{done}/{numbers.count(len(study.trials), 'training' if study.parent else 'trial')}"
    remaining = "ended" if study.ended else numbers.remaining(study.eta_seconds)
    if width < BAR_WIDTH:
        yield Text(f"{trials}  {remaining}", no_wrap=not whole, overflow=overflow)
        yield Text(_best_line(study), no_wrap=not whole, overflow=overflow)
        return
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        ProgressBar(total=1.0, completed=_share(study), width=max(10, width // 5)),
        trials,
        f"{numbers.duration(study.elapsed_seconds)} elapsed",
        remaining,
    )
    yield bar
    yield Text(_best_line(study), no_wrap=not whole, overflow=overflow)


def trial_table(
    study: StudyView,
    trials: Sequence[TrialView],
    wide: bool,
    ascii_only: bool = False,
    *,
    short: bool = False,
) -> Table:
    """A row for each of these trials; a wide table has their parameters as columns."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    paths = _paths(study) if wide else []
    rates = () if study.ended else RATES
    first = "trial" if not study.parent else "held-out" if short else "training"
    for title in (first, "state", "steps", "curve", "return", *rates, *map(_title, paths)):
        justify: JustifyMethod = "left" if title in ("state", "curve") else "right"
        table.add_column(title, justify=justify, no_wrap=True, vertical="bottom")
    low, high = scale(trial.curve for trial in study.trials)
    for trial in trials:
        curve = sparkline(trial.curve, 20 if wide else 10, low, high, ascii_only)
        parameters = [numbers.value(trial.params[path]) if path in trial.params else "" for path in paths]
        speeds = [numbers.rate(rate) if trial.state == "running" else "" for rate in _rates(trial)]
        table.add_row(
            *_cells(trial, curve, short=short),
            *speeds[: len(rates)],
            *parameters,
            style=_row_style(study, trial),
        )
    return table


def listed_parameters(trials: Sequence[TrialView]) -> Table:
    """Parameters of all these trials, each trial's below the other."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column()
    for trial in trials:
        if trial.params and not trial.label:
            grid.add_row(Text(f"trial {trial.number}", style=STYLES[trial.state]), _spelled(trial))
    return grid


def _spelled(trial: TrialView) -> Text:
    return Text("  ".join(f"{path}={numbers.value(value)}" for path, value in trial.params.items()))


def parameter_lines(study: StudyView, trials: Sequence[TrialView], entries: int) -> Table:
    """Parameters of the best trial and of those in work, where the table has no room for them."""
    best = [study.best] if study.best and not study.parent else []
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column()
    running = [trial for trial in trials if trial.state == "running" and trial.params and not trial.label]
    for trial in [*best, *running][:entries]:
        name = f"{'best' if trial is study.best else 'running'} {trial.number}"
        grid.add_row(Text(name, style=STYLES[trial.state]), _spelled(trial))
    return grid


def _best_line(study: StudyView) -> str:
    if study.parent:
        ended = sum(trial.ended for trial in study.trials)
        return f"confirming {study.parent}: {ended} of {len(study.trials)} held-out trainings have ended"
    best, default = study.best, study.default
    if best is None:
        return "no trial has completed yet"
    line = f"best so far: trial {best.number} with return {numbers.score(best.score)}"
    if default is not None and default.state == "complete":
        line += f"; the defaults have {numbers.score(default.score)}"
    return line


def _cells(trial: TrialView, curve: str, *, short: bool) -> list[Text]:
    steps = f"{trial.step:,}" if trial.ended else f"{trial.step:,}/{trial.env_steps:,}"
    state = Text(trial.state, style=STYLES[trial.state])
    return [
        Text((trial.label.removeprefix("held-out ") if short else trial.label) or str(trial.number)),
        state,
        *map(Text, (steps, curve, numbers.score(trial.score))),
    ]


def _rates(trial: TrialView) -> tuple[float | None, float | None]:
    return trial.steps_per_second, trial.updates_per_second


def _row_style(study: StudyView, trial: TrialView) -> str:
    if trial is study.best and not study.parent:
        return "bold"
    return "dim" if trial.state == "pruned" else ""


def _paths(study: StudyView) -> list[str]:
    """Every parameter that some trial has, in the order of sampling."""
    if study.parent:  # the label says which candidate and seed
        return []
    paths: dict[str, Any] = {}
    for trial in study.trials:
        paths.update(dict.fromkeys(trial.params))
    return list(paths)


def _title(path: str) -> str:
    return path.replace(".", "\n").replace("_", "\n")


def _share(study: StudyView) -> float:
    """Part of all training that is done; an ended trial counts whole."""
    parts = [1.0 if trial.ended else trial.step / max(1, trial.env_steps) for trial in study.trials]
    return sum(parts) / max(1, len(parts))
