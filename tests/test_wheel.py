"""The wheel holds every file of the product, so that a package which nobody listed is not forgotten."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ("cli", "search", "tracking", "omad_core", "studies")
NOT_OURS = shutil.ignore_patterns("__pycache__")


def files(folder: Path) -> set[str]:
    return {
        str(file.relative_to(folder))
        for room in ROOMS
        for file in (folder / room).rglob("*")
        if file.is_file()
    }


def test_the_wheel_holds_the_tree(tmp_path: Path) -> None:
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / "tree" / room, ignore=NOT_OURS)
    for name in ("pyproject.toml", "README.md", "omad_search.py"):
        shutil.copy(ROOT / name, tmp_path / "tree")
    there = files(tmp_path / "tree") | {"omad_search.py"}
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "tree", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    packed = {
        name for name in zipfile.ZipFile(wheel).namelist() if not name.split("/")[0].endswith(".dist-info")
    }
    assert len(there) > 200
    assert packed == there
