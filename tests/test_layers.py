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


PICKLING = {"pickle", "_pickle", "cPickle", "pickletools", "cloudpickle", "dill", "joblib", "jsonpickle"}
PICKLING |= {"shelve", "marshal", "copyreg"}
CALLS = {"torch.load", "torch.save", "torch.jit.load", "torch.package"}
METHODS = {"read_pickle", "to_pickle", "unsafe_load", "full_load"}


def pickling(text: str) -> set[str]:
    """What in a module's text reads or writes pickles, or files that may hold code."""
    tree = ast.parse(text)
    found = (imports(tree) & PICKLING) | (modules(tree) & CALLS)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in PICKLING:  # a name for import_module
            found.add(str(node.value))
        if isinstance(node, ast.Attribute) and (ast.unparse(node) in CALLS or node.attr in METHODS):
            found.add(node.attr)
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and not _is_false(node.value):
            found.add(node.arg)
    return found


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize("room", [*ROOMS, "studies"])
def test_nothing_is_pickled(room):
    assert files(room)
    found = {f.name: pickling(f.read_text()) for f in files(room)}
    assert not {name: bad for name, bad in found.items() if bad}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import json, pickle as p",
        "from pickle import loads",
        "from cloudpickle import dumps",
        "import dill",
        "from shelve import open",
        "import marshal",
        "import joblib",
        "importlib.import_module('pickle')",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=trusted)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "read = torch.load",
        "from torch import save as write",
        "frame.to_pickle(path)",
    ],
)
def test_whatever_pickles_is_found(line):
    assert pickling(line)


@pytest.mark.parametrize("line", ["np.load(path, allow_pickle=False)", "json.load(file)", "model.load(path)"])
def test_what_does_not_pickle_is_not(line):
    assert not pickling(line)


def test_the_packages_of_these_common_names_are_ours():
    import cli

    assert Path(cli.__file__).parent == ROOT / "cli"
