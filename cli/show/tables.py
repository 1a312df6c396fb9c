"""Tables on a terminal that is too narrow for them: folded into blocks, or without their least columns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text


def fits(console: Console, table: Table, width: int) -> bool:
    """Whether a table needs no more than this width."""
    return Measurement.get(console, console.options.update(max_width=10_000), table).maximum <= width


def drop_columns(console: Console, table: Table, width: int, titles: Sequence[str]) -> Table:
    """The table without as many of these columns, the first ones first, as make it fit."""
    for title in titles:
        if fits(console, table, width):
            break
        kept = [column for column in table.columns if column.header != title]
        table.columns = [replace(column, _index=index) for index, column in enumerate(kept)]
    return table


@dataclass(frozen=True)
class FoldingTable:
    """A table, or where that does not fit a block for each row: its first cell, and below it the others by name."""

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if fits(console, self.table, options.max_width):
            yield self.table
            return
        if self.table.title:
            yield self.table.title
        first, *others = self.table.columns
        if str(first.header):
            yield Text(f"{first.header}:", overflow="fold")
        names = [str(column.header).replace("\n", " ") for column in others]
        width = max(map(len, names), default=0)
        for heading, *cells in zip(first.cells, *(column.cells for column in others), strict=True):
            yield Text(str(heading), style="bold", overflow="fold")
            grid = Table.grid(padding=(0, 2))
            grid.add_column(width=width + 2, no_wrap=True)
            grid.add_column(overflow="fold")
            for name, cell in zip(names, cells, strict=True):
                if str(cell):
                    grid.add_row(f"  {name}", cell)
            yield grid
        yield ""
