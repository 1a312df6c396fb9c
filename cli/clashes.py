"""Clashes: a module of the user's own that Python finds in the place of one of this program's packages."""

import sys
from pathlib import Path

ROOMS = ("omad_core", "search", "studies", "tracking")


def report(error: ImportError) -> int:
    """Say which file stands in for a package of ours; the exit code. Raises `error` where none does."""
    home = Path(__file__).resolve().parents[1]
    for name in ROOMS:
        path = getattr(sys.modules.get(name), "__file__", None)
        if path is not None and not Path(path).resolve().is_relative_to(home):
            sys.stderr.write(
                f"error: {path} stands in for this program's own package `{name}`: PYTHONPATH has its folder searched "
                "first. Rename it, or leave that folder out of PYTHONPATH (the working folder is searched anyway)\n"
            )
            return 1
    raise error
