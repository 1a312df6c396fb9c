"""Bundle: the modules of `omad_core` that a published policy needs, and no others, to travel with its model."""

import ast
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "omad_core"
ENTRY = "policy"


def write_bundle(folder: Path) -> Path:
    """Copy what `omad_core.policy` imports, at any depth, below `folder`; returns the copied package."""
    root, target = _find_package(), folder / PACKAGE
    for file in sorted(find_needed(root)):
        copy = target / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return target


def find_needed(root: Path) -> set[Path]:
    """Files of the package at `root` that are read when a policy is loaded and acts."""
    needed: set[Path] = set()
    waiting = [root / f"{ENTRY}.py"]
    while waiting:
        file = waiting.pop()
        if file not in needed:
            needed.add(file)
            waiting += [*_imported_files(file, root), *_package_files(file, root)]
    return needed


def _imported_files(file: Path, root: Path) -> Iterator[Path]:
    """Files of the package that a file imports: modules, and the `__init__` of packages."""
    for node in _executed_nodes(ast.parse(file.read_text())):
        for name in _imported_names(node):
            package, *parts = name.split(".")
            path = root.joinpath(*parts)
            if package == PACKAGE:
                # A name in a module is no file: its module was named before.
                yield from (f for f in (path.with_suffix(".py"), path / "__init__.py") if f.exists())


def _imported_names(node: ast.AST) -> Iterator[str]:
    """Full names of what a statement may import: modules, and names in them."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _executed_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node of a module but those that only type checkers read."""
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from _executed_nodes(child)


def _package_files(file: Path, root: Path) -> Iterator[Path]:
    """The `__init__` of every package that a file lies in; they run before it does."""
    for folder in file.relative_to(root).parents:
        yield root / folder / "__init__.py"


def _find_package() -> Path:
    package = find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise FileNotFoundError(f"the package {PACKAGE} cannot be found")
    return Path(package.submodule_search_locations[0])
