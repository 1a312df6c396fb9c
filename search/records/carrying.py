"""Carrying: the modules of `omad_core` that a published policy needs, and no others, to travel with its model."""

import ast
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "omad_core"
ENTRY = "policy"


def carry(folder: Path) -> Path:
    """Copy what `omad_core.policy` imports, at any depth, below `folder`; the copied package."""
    root, target = _root(), folder / PACKAGE
    for file in sorted(needed(root)):
        copy = target / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return target


def needed(root: Path) -> set[Path]:
    """Files of the package that are read when a policy is loaded and asked."""
    found, waiting = {root / "__init__.py"}, [root / f"{ENTRY}.py"]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _imported(file, root)
    return found


def _imported(file: Path, root: Path) -> Iterator[Path]:
    """Files of this package that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{PACKAGE}."):
            path = root.joinpath(*node.module.split(".")[1:])
            yield path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _root() -> Path:
    package = find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise FileNotFoundError(f"the package {PACKAGE} cannot be found")
    return Path(package.submodule_search_locations[0])
