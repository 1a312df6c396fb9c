"""A study's spec as text: what is searched, with which budget, what a trial trains, what overrode what."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.show import numbers
from cli.show.tables import FoldingTable

if TYPE_CHECKING:
    from search.study.study_spec import StudySpec


NARROW = 70
"""Columns below which names would be broken in the middle: there each has a block of its own."""


@dataclass(frozen=True)
class SpecView:
    """One spec."""

    spec: "StudySpec"
    source: str
    """Where it is from, as a person may read it."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        spec = self.spec
        yield Text(f"{spec.name}: task {spec.task}, profile {spec.profile} ({self.source})", style="bold")
        for what in ("sampler", "pruner"):
            component = getattr(spec, what)
            options_ = ", ".join(
                f"{name} {numbers.value(value)}" for name, value in component.options.items()
            )
            yield Text(f"{what} {component.name}" + (f": {options_}" if options_ else ""))
        searched = _table(("searched", "values", "first trial"), _search_rows(spec))
        fixed = _table(("setting", "value", "what"), _settings(spec))
        yield from map(FoldingTable, (searched, fixed)) if options.max_width < NARROW else (searched, fixed)
        overrides = spec.origin.overrides if spec.origin else ()
        if overrides:
            yield Text("overridden", style="bold")
            for each in overrides:
                yield Padding(Text(_override(each)), (0, 0, 0, 2))


def record(spec: "StudySpec", source: str) -> Mapping[str, Any]:
    """The same for programs."""
    import json

    return {
        "source": source,
        "spec": json.loads(spec.to_json()),
        "first_trial": spec.space.settings(spec.defaults()),
    }


def _table(titles: tuple[str, ...], rows: Any) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _search_rows(spec: "StudySpec") -> Iterator[tuple[str, str, str]]:
    first = spec.space.settings(spec.defaults())
    for dimension in spec.space.dimensions:
        conditions = " and ".join(
            f"{path} = {' or '.join(map(numbers.value, values))}" for path, values in dimension.when.items()
        )
        applies = dimension.path in first and dimension.contains(first[dimension.path])
        start = numbers.value(first[dimension.path]) if applies else ""
        yield dimension.path, f"{dimension}{f' (when {conditions})' if conditions else ''}", start


def _settings(spec: "StudySpec") -> Iterator[tuple[str, str, str]]:
    """Plain numbers of the study, and what of a training is not searched and not the code's default."""
    from omad_core import settings
    from omad_core.config import TrainConfig
    from search.study.study_spec import NUMBERS

    for name, (_, info) in NUMBERS.items():
        yield name, numbers.value(getattr(spec, name)), info.help
    default = TrainConfig(task=spec.task)
    for path, value, setting in settings.walk(spec.config):
        if value != settings.get(default, path) and path not in spec.space.paths:
            yield path, numbers.value(value), setting.help


def _override(override: Any) -> str:
    before = ", ".join(f"{numbers.value(value)} ({source})" for value, source in reversed(override.replaced))
    return f"{override.setting} = {numbers.value(override.value)} ({override.source}), instead of {before}"
