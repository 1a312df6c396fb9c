"""Imports run downwards only, and each room keeps away from what is not its business."""

import ast
import subprocess
import sys
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


def imports(tree: ast.AST) -> set[str]:
    """First names of everything a module imports, at any depth."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def modules(tree: ast.AST) -> set[str]:
    """Full names of everything a module imports, at any depth."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    plain = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return {*plain, *(f"{node.module}.{alias.name}" for node in nodes for alias in node.names)}


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_downwards_only(room):
    found = {f.name: sorted(imports(ast.parse(f.read_text())) & FORBIDDEN[room]) for f in files(room)}
    assert not {name: bad for name, bad in found.items() if bad}


GROUPS = ("spec", "storage", "slots", "records", "worker", "bench")
"""Of the search, each of which may use those before it; `bench` is used by none."""


@pytest.mark.parametrize("group", GROUPS)
def test_groups_of_the_search_import_downwards_only(group):
    above = {f"search.{name}" for name in GROUPS[GROUPS.index(group) + 1 :]}
    found = {
        f.name: sorted(
            bad for bad in modules(ast.parse(f.read_text())) if ".".join(bad.split(".")[:2]) in above
        )
        for f in files(f"search/{group}")
    }
    assert found
    assert not {name: bad for name, bad in found.items() if bad}


def test_every_group_of_the_search_is_known():
    assert {
        folder.name for folder in (ROOT / "search").iterdir() if (folder / "__init__.py").exists()
    } == set(GROUPS)


def test_tracking_imports_no_torch_at_module_level():
    code = "import tracking.mlflow_tracker, tracking.sender, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("room", ROOMS)
def test_only_the_command_line_prints(room):
    prints = {
        f.name
        for f in files(room)
        for node in ast.walk(ast.parse(f.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert not prints


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_is_pickled(room):
    words = ("import pickle", "cloudpickle", "torch.load(", "torch.save(", "joblib")
    assert not {(f.name, word) for f in files(room) for word in words if word in f.read_text()}


def test_the_packages_of_these_common_names_are_ours():
    import cli

    assert Path(cli.__file__).parent == ROOT / "cli"
