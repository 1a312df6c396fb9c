"""Every command that README and docs name exists, with the options that they name."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.app import COMMANDS, app

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


PROGRAM = typer.main.get_command(app)
OTHER_COMMAND = re.compile(r"\s(?:&&|\||;|>|2>)\s")


FENCED = re.compile(r"^```[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


def blocks(page: str) -> Iterator[str]:
    """Lines of fenced blocks, continued ones joined."""
    for block in FENCED.findall(page):
        yield from block.replace("\\\n", " ").splitlines()


def inline(page: str) -> Iterator[str]:
    """Code in the text, which may go on in the next line."""
    yield from (code.replace("\n", " ") for _, code in INLINE.findall(FENCED.sub("", page)))


def commands(lines: Iterator[str]) -> list[list[str]]:
    """Arguments of each call of the program in these lines; of `pause|stop` one for each."""
    found = []
    for line in lines:
        for call in re.findall(r"(?:^|\s)omad-search\s+([a-z-].*)", line):
            first, *rest = shlex.split(OTHER_COMMAND.split(call)[0], comments=True)
            found += [[name, *rest] for name in first.split("|")]
    return found


def command_of(args: list[str]) -> tuple[Any, list[str]]:
    """The command that a call names, which may be one of a group's, and its arguments."""
    command, rest = PROGRAM.commands[args[0]], args[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def options_of(command: Any) -> set[str]:
    return {option for param in command.params for option in (*param.opts, *param.secondary_opts)} | {
        "--help",
        "--debug",
    }


def faults(args: list[str]) -> list[str]:
    """What of this call does not exist."""
    name = args[0]
    if name.startswith("-"):
        return [] if name in options_of(PROGRAM) else [name]
    if name not in PROGRAM.commands:
        return [name]
    command, rest = command_of(args)
    named = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    return sorted(named - options_of(command))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    calls = commands(blocks(text)) + commands(inline(text))
    assert not {" ".join(call): bad for call in calls if (bad := faults(call))}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_shows_can_be_typed(page: Path) -> None:
    for args in commands(blocks(page.read_text())):
        command, rest = command_of(args)
        command.make_context(command.name, rest)


@pytest.mark.parametrize(
    ("command", "example"), COMMANDS.items(), ids=lambda value: getattr(value, "__name__", "")
)
def test_the_help_of_a_command_has_an_example_of_it_that_can_be_typed(
    command: Callable[..., None], example: str
) -> None:
    name, *rest = shlex.split(example)
    assert name == command.__name__.replace("_", "-")
    PROGRAM.commands[name].make_context(name, rest)
    assert PROGRAM.commands[name].epilog == f"Example: omad-search {example}"


def leaves(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command, those of groups too."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*path, name))
        yield (*path, name), command


def test_the_help_of_every_command_ends_with_an_example_of_it() -> None:
    found = dict(leaves(PROGRAM))
    assert ("studies", "validate") in found
    for path, command in found.items():
        start = f"Example: omad-search {' '.join(path)}"
        assert str(command.epilog).startswith(start), path
        (call,) = commands(iter([str(command.epilog).removeprefix("Example: ")]))
        assert not faults(call)


def test_the_pages_name_commands() -> None:
    counts = {name_of(page): len(commands(blocks(page.read_text()))) for page in PAGES}
    assert counts["README.md"] > 6
    assert counts["docs/reference.md"] > 25
    assert counts["docs/distributed.md"] > 8


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("omad-search rnu --task hopper", ["rnu"]),
        ("omad-search run --taks hopper && omad-search ui", ["--taks"]),
        ("A=b omad-search status hopper --wach   # and so on", ["--wach"]),
        ("omad-search pause|resum hopper", ["resum"]),
        ("omad-search studies new mine --form hopper", ["--form"]),
    ],
)
def test_what_does_not_exist_is_found(line: str, bad: list[str]) -> None:
    assert [fault for call in commands(iter([line])) for fault in faults(call)] == bad
