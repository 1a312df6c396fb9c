"""The house: imports run downwards only, between its rooms and between their wings, and no room grows too large.

A room is a package at the top. Its wings are its folders; each module beside them is a wing of its own.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("cli", "search", "tracking", "omad_core")
FORBIDDEN = {
    "omad_core": {"cli", "search", "tracking", "optuna", "mlflow", "typer", "rich", "sqlalchemy"},
    "tracking": {"cli", "search", "omad_core", "optuna", "typer", "rich"},
    "search": {"cli", "typer", "rich"},
    "cli": set(),
}
WINGS = {
    "cli": "main app commands process setup errors interrupts clashes show options completion logs",
    "search": (
        "worker comparison reports steering bench recording checkpoints view confirmation slots "
        "history launch study storage errors"
    ),
    "tracking": "mlflow sender spool machine tracker row redaction sqlite_fault errors",
    "omad_core": (
        "results bench training population policy engine algorithm envs checkpoint stored_settings config "
        "algorithms rng nn settings events task errors"
    ),
}
"""From the top to the bottom: each may use those after it. Of `omad_core`, the package itself stands above all."""
MOST_LINES = 300
MOST_FILES = {"cli/commands": 20, "tracking/mlflow": 20}
"""Where all files are of one kind; elsewhere a folder has a dozen."""
MOST_IGNORES = 8


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of everything a module imports, at any depth and for types too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "imports are absolute"
            assert not node.level, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


FILES = {name_of(file): file for room in ROOMS for file in files(room)}
NAMES = {module: set(imported(ast.parse(file.read_text()))) for module, file in FILES.items()}


def owner(name: str) -> str | None:
    """The module of ours that an imported name is, or is in."""
    while name and name not in FILES:
        name = name.rpartition(".")[0]
    return name or None


IMPORTS = {
    module: {own for name in names if (own := owner(name)) and own != module}
    for module, names in NAMES.items()
}


def wing_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_downwards_only(room):
    found = {
        module: sorted({name.split(".")[0] for name in names} & FORBIDDEN[room])
        for module, names in NAMES.items()
        if module.split(".")[0] == room
    }
    assert found
    assert not {module: bad for module, bad in found.items() if bad}


@pytest.mark.parametrize("room", ROOMS)
def test_every_wing_is_known(room):
    there = {wing_of(module).removeprefix(f"{room}.") for module in FILES if module.startswith(f"{room}.")}
    assert there == set(WINGS[room].split())


@pytest.mark.parametrize("room", ROOMS)
def test_wings_import_downwards_only(room):
    order = [room, *(f"{room}.{wing}" for wing in WINGS[room].split())]
    upwards = [
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        for other in others
        if module.split(".")[0] == other.split(".")[0] == room
        and order.index(wing_of(module)) > order.index(wing_of(other))
    ]
    assert not upwards


@pytest.mark.parametrize("room", ROOMS)
def test_the_picture_of_the_architecture_is_true(room):
    """Same wings, same order."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    (picture,) = re.findall(rf"^{room}\n((?:  \w.*\n)+)", page, re.MULTILINE)
    assert [line.split()[0] for line in picture.splitlines()] == WINGS[room].split()


def test_no_module_imports_itself_by_way_of_others():
    """Raises CycleError with the circle."""
    assert len(list(TopologicalSorter(IMPORTS).static_order())) == len(FILES)


@pytest.mark.parametrize("room", [*ROOMS, "studies"])
def test_no_file_is_long(room):
    lines = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files(room)}
    assert lines
    assert not {name: count for name, count in lines.items() if count > MOST_LINES}


@pytest.mark.parametrize("room", ROOMS)
def test_a_folder_can_be_taken_in_at_a_glance(room):
    counts: dict[str, int] = {}
    for file in files(room):
        folder = file.parent.relative_to(ROOT).as_posix()
        counts[folder] = counts.get(folder, 0) + (file.name != "__init__.py")
    assert not {folder: n for folder, n in counts.items() if n > MOST_FILES.get(folder, 12)}


def test_the_folders_of_the_tests_are_those_of_the_product():
    folders = {file.parent.relative_to(ROOT / "tests") for file in files("tests")}
    assert len(folders) > 20
    assert not {str(folder) for folder in folders if not list((ROOT / folder).glob("*.py"))} - {
        ".",
        "support",
    }


def test_few_lines_are_hidden_from_the_type_checker():
    hidden = [
        f"{file.relative_to(ROOT)}:{number}"
        for room in ROOMS
        for file in files(room)
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if "# type: ignore" in line
    ]
    assert len(hidden) <= MOST_IGNORES, hidden


def test_tracking_imports_no_torch_at_module_level():
    code = "import tracking.mlflow.tracker, tracking.sender, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("room", ROOMS)
def test_only_the_command_line_prints(room):
    """And that by `say` and its consoles."""
    prints = {
        file.name
        for file in files(room)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert not prints


def test_the_packages_of_these_common_names_are_ours():
    import cli

    assert Path(cli.__file__).parent == ROOT / "cli"


def classes(folder: str) -> Iterator[tuple[str, str]]:
    """Name and file of every class below a folder."""
    for file in files(folder):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                yield node.name, str(file.relative_to(ROOT))


@pytest.mark.parametrize("folders", [ROOMS, ("tests",)], ids=["product", "tests"])
def test_no_two_classes_have_one_name(folders):
    where: dict[str, list[str]] = {}
    for folder in folders:
        for name, file in classes(folder):
            where.setdefault(name, []).append(file)
    assert len(where) > 50
    assert not {name: found for name, found in where.items() if len(found) > 1}


TESTED_BY_THEIR_COMMANDS = {"search/bench"}


@pytest.mark.parametrize("room", ROOMS)
def test_every_folder_has_its_tests_where_its_name_says(room):
    folders = {file.parent.relative_to(ROOT).as_posix() for file in files(room)}
    missing = {folder for folder in folders if not list((ROOT / "tests" / folder).rglob("test_*.py"))}
    assert missing == {folder for folder in TESTED_BY_THEIR_COMMANDS if folder.split("/")[0] == room}
