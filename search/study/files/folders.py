"""Folders of study files: the shipped ones, and those of the user."""

import os
from pathlib import Path

VARIABLE = "OMAD_STUDIES"
SHIPPED = Path(__file__).parents[3] / "studies"
BASE = "_base"


def user_folders() -> list[Path]:
    """Folders with studies of the user's own: those of OMAD_STUDIES, else `./studies`."""
    named = os.environ.get(VARIABLE, "").strip()
    return [Path(folder).expanduser() for folder in named.split(os.pathsep) if folder] or [Path("studies")]


def user_file(name: str) -> Path | None:
    """The user's study file of this name; None where there is none, or it is a copy of the shipped one."""
    for folder in user_folders():
        file = folder / f"{name}.toml"
        if name != BASE and file.is_file() and not _is_copy(file):
            return file
    return None


def user_names() -> list[str]:
    """Names of the user's own studies."""
    names = {file.stem for folder in user_folders() if folder.is_dir() for file in folder.glob("*.toml")}
    return sorted(name for name in names if user_file(name) is not None)


def _is_copy(file: Path) -> bool:
    """Whether it says what the shipped file of this name says: a checkout of this project has them in ./studies."""
    shipped = SHIPPED / file.name
    return shipped.is_file() and shipped.read_bytes() == file.read_bytes()
