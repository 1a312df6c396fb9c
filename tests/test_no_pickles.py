"""Nothing of the product reads or writes pickles, or files that may hold code."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PICKLING = {"pickle", "_pickle", "cPickle", "pickletools", "cloudpickle", "dill", "joblib", "jsonpickle"}
PICKLING |= {"shelve", "marshal", "copyreg"}
CALLS = {"torch.load", "torch.save", "torch.jit.load", "torch.package"}
METHODS = {"read_pickle", "to_pickle", "unsafe_load", "full_load"}


def imported(tree: ast.AST) -> set[str]:
    """Full names of everything a module imports, at any depth."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def pickling(text: str) -> set[str]:
    """What in a module's text reads or writes pickles, or files that may hold code."""
    tree = ast.parse(text)
    names = imported(tree)
    found = ({name.split(".")[0] for name in names} & PICKLING) | (names & CALLS)
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


@pytest.mark.parametrize("room", ["cli", "search", "tracking", "omad_core", "studies"])
def test_nothing_is_pickled(room):
    assert sorted((ROOT / room).rglob("*.py"))
    found = {f.name: pickling(f.read_text()) for f in sorted((ROOT / room).rglob("*.py"))}
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
