"""Consoles: where the command line prints. Results go to stdout, everything about them to stderr."""

import os
import re

from rich.console import Console, ConsoleDimensions

from cli.show import stdout

_CODE = re.compile(r"`[^`]*`")
_WORD = re.compile(r"(?:`[^`]*`|\S)+")
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
    """Print one line as it is, so that it can be copied and piped; on a narrow terminal a sentence breaks at words."""
    console = err() if stderr else out()
    text = break_at_words(line, console.width) if console.is_terminal else line
    console.print(text, style=style, soft_wrap=True)


def break_at_words(line: str, width: int) -> str:
    """A sentence in lines of this width; code between backticks stays whole, and so does a line with a bare command."""
    if len(line) <= width or line[:1] == " " or "\n" in line or "omad-search " in _CODE.sub("", line):
        return line
    lines = [""]
    for word in _WORD.findall(line):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".lstrip()
    return "\n".join(lines)
