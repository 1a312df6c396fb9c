"""Completion: what a shell may offer for an option, found without the heavy rooms."""

import os
import sqlite3
import threading
from pathlib import Path

NAMES = "select name from omad_control order by name"
SERVER_SECONDS = 2.0
"""How long a shell waits for the names that a database server has; then it offers none."""


def complete_study(incomplete: str) -> list[str]:
    """Studies of the storage; none where it cannot be asked at once."""
    storage = os.environ.get("OMAD_STORAGE", "sqlite:///omad.db").strip()
    scheme, _, path = storage.partition(":///")
    names = _names_in_file(Path(path)) if scheme == "sqlite" else _names_on_server(storage)
    return [name for name in names if name.startswith(incomplete)]


def _names_in_file(path: Path) -> list[str]:
    if not path.is_file():
        return []
    try:
        with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=1.0) as connection:
            return [name for (name,) in connection.execute(NAMES)]
    except sqlite3.Error:
        return []


def _names_on_server(storage: str) -> list[str]:
    """Asked on a thread that is left behind after a while: a server that does not answer may keep it for minutes."""
    names: list[str] = []

    def ask() -> None:
        import sqlalchemy

        from search.errors import SearchError
        from search.storage.urls import parse

        try:
            engine = sqlalchemy.create_engine(parse(storage), poolclass=sqlalchemy.NullPool)
            with engine.connect() as connection:
                names.extend(connection.scalars(sqlalchemy.text(NAMES)))
        except (SearchError, sqlalchemy.exc.SQLAlchemyError, ImportError, OSError, ValueError):
            return  # a shell has no place for a complaint

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(SERVER_SECONDS)
    return list(names)


def complete_task(incomplete: str) -> list[str]:
    """Studies that can be begun by name: the user's own and the shipped ones."""
    folders = [Path(__file__).parents[1] / "studies"]
    folders += map(Path, (os.environ.get("OMAD_STUDIES") or "studies").split(os.pathsep))
    names = {file.stem for folder in folders for file in folder.glob("*.toml")}
    return sorted(name for name in names if name.startswith(incomplete) and not name.startswith("_"))


def complete_setting(incomplete: str) -> list[str]:
    """`path=` of every setting of a training, and its values once the path is there, where these are a few."""
    import typing

    from omad_core import settings
    from omad_core.config import TrainConfig

    path, equals, _ = incomplete.partition("=")
    kinds = {name: kind for name, kind, _ in settings.fields(TrainConfig) if name not in ("task", "seed")}
    if not equals:
        return [f"{name}=" for name in kinds if name.startswith(incomplete)]
    choices = ("true", "false") if kinds.get(path) is bool else typing.get_args(kinds.get(path))
    offered = [f"{path}={choice}" for choice in choices if isinstance(choice, str)]
    return [each for each in offered if each.startswith(incomplete)]
