"""Help on a narrow terminal: plain text, where frames and columns would cut names of options off."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from typer.core import TyperCommand, TyperGroup

NARROW = 70
"""Columns below which the help is plain."""
LEAST = 30


@contextmanager
def _fitting(command: Any, formatter: Any) -> Iterator[None]:
    mode, columns = command.rich_markup_mode, shutil.get_terminal_size().columns
    if columns < NARROW:
        command.rich_markup_mode, formatter.width = None, max(LEAST, columns)
        formatter.write_dl = lambda rows, *_, **__: _stack(formatter, rows)
    try:
        yield
    finally:
        command.rich_markup_mode = mode


def _stack(formatter: Any, rows: Sequence[tuple[str, str]]) -> None:
    """A name, and below it what it is."""
    for name, what in rows:
        formatter.write_text(name)
        with formatter.indentation():
            formatter.write_text(what)


class HelpfulCommand(TyperCommand):
    """A command whose help fits."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As typer's own."""
        with _fitting(self, formatter):
            super().format_help(ctx, formatter)


class HelpfulGroup(TyperGroup):
    """A group of commands whose help fits."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As typer's own."""
        with _fitting(self, formatter):
            super().format_help(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """As typer's own, with the whole first sentence of each command."""
        commands = [(name, str(command.help).split("\n\n")[0]) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(commands)
