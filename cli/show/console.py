"""Consoles: where the command line prints. Results go to stdout, everything about them to stderr."""

import os

from rich.console import Console, ConsoleDimensions

from cli.show import stdout

PIPED_WIDTH, PIPED_HEIGHT = 160, 1_000
"""Room of tables that are piped; a terminal, or COLUMNS, says its own."""


def out() -> Console:
    """For results."""
    return _console(stderr=False)


def err() -> Console:
    """For errors, warnings and notes."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    file = None if stderr else stdout.stream()
    console = Console(file=file, stderr=stderr, highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        columns = os.environ.get("COLUMNS", "")
        console.size = ConsoleDimensions(int(columns) if columns.isdigit() else PIPED_WIDTH, PIPED_HEIGHT)
    return console


def one_line(text: str) -> str:
    """A text of several lines, such as a reason that an environment gave, as one."""
    return " ".join(text.split())


def next_step(*commands: str) -> None:
    """Name what one would type next: for a person at a terminal, so that pipes and files stay as they are."""
    if out().is_terminal:
        for command in commands:
            say(f"next: omad-search {command}", stderr=True, style="dim")


def say(line: str, *, stderr: bool = False, style: str | None = None) -> None:
    """Print one line as it is: never wrapped, so that it can be copied and piped."""
    console = err() if stderr else out()
    console.print(line, style=style, soft_wrap=True)
