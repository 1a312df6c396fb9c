"""Artifact locations of an SQLite store: absolute in its database, although the files move along with it.

A file store keeps its artifacts in `mlruns/` beside the database. MLflow writes their absolute paths into the database,
and they are wrong once the folder was moved, copied, or mounted elsewhere. Here they are read as what they mean.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import sqlalchemy
from sqlalchemy.pool import NullPool

from tracking.errors import TrackingRefused
from tracking.mlflow.address import sqlite_address, sqlite_path
from tracking.mlflow.names import model_name

FOLDER = "mlruns"
BUSY_SECONDS = 20
COLUMNS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}
"""Where MLflow's tables hold artifact locations; tables and columns that a schema lacks are left out."""

_log = logging.getLogger(__name__)


def default_location(address: str, study: str) -> str | None:
    """Location of a study's artifacts beside an SQLite database; None where MLflow itself decides."""
    path = sqlite_path(address)
    return None if path is None else (path.parent / FOLDER / model_name(study)).as_uri()


def resolve(location: str, address: str) -> str:
    """The location as it is reached from here: beside the database, where its folder was moved."""
    stored, here = _local_path(location), _beside(location, address)
    if stored is None or here is None or here == stored:
        return location
    # Of the experiment, whole or not at all: what is new in a run has no folder anywhere yet.
    return here.as_uri() if _experiment(here).exists() or not _root(stored).exists() else location


def refuse_outside(study: str, location: str, address: str) -> None:
    """Raise TrackingRefused where a database was moved or copied and its study's artifacts stayed where they were."""
    stored, here = _local_path(location), _beside(location, address)
    if stored is None or here is None or here == stored or not _is_default(study, stored):
        return
    if here.exists() or not stored.exists():
        return
    raise TrackingRefused(
        f"The tracking database {sqlite_path(address)} was moved or copied without its artifacts: they lie in "
        f"{stored}. Move or copy that folder to {here}, or put the database back where it was."
    )


def where(location: str, address: str) -> str:
    """Where the files of a location were looked for, to be named where they are missing."""
    stored, here = _local_path(location), _beside(location, address)
    if stored is None or here is None or here == stored:
        return location
    return f"{here} nor in {stored}, where they were written; the working folder seems to have been moved"


def correct(address: str) -> None:
    """Rewrite the locations of a folder that was moved in its SQLite database, so that plain MLflow finds them too."""
    path = sqlite_path(address)
    if path is None:
        return
    engine = sqlalchemy.create_engine(
        sqlite_address(path), poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS}
    )
    with engine.connect() as connection:
        moved = dict(_moved(connection, address))
    if not moved:
        return
    with engine.begin() as connection:
        for table, column in _columns(connection):
            for stored, here in moved.items():
                _rewrite(connection, table, column, stored, here)
    for stored, here in moved.items():
        _log.warning("the artifacts of %s were moved to %s; %s is corrected", stored, here, path)


def _local_path(location: str) -> Path | None:
    """The path of a location on this machine's disks; None for those of other stores."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(location) if location.startswith("/") else None


def _root(stored: Path) -> Path:
    """The folder that holds the `mlruns` of a location, or the location itself where it lies in none."""
    above = [parent for parent in stored.parents if parent.name == FOLDER]
    return above[-1].parent if above else stored


def _experiment(path: Path) -> Path:
    """The folder of the experiment that a location belongs to: the one directly below `mlruns`."""
    folder = _root(path) / FOLDER
    return folder / path.relative_to(folder).parts[0]


def _beside(location: str, address: str) -> Path | None:
    """The same place in the `mlruns` beside the database; None for locations of another kind."""
    database, stored = sqlite_path(address), _local_path(location)
    if database is None or stored is None or (root := _root(stored)) == stored:
        return None
    same = root == database.parent or root.resolve() == database.parent
    return stored if same else database.parent / stored.relative_to(root)


def _moved(connection: sqlalchemy.Connection, address: str) -> Iterator[tuple[Path, Path]]:
    """Experiments whose artifacts lie beside the database and not where it says: old folder, new folder.

    Those of studies are always made beside it, so they belong there before anything was written.
    """
    for name, location in connection.exec_driver_sql("SELECT name, artifact_location FROM experiments"):
        stored, here = _local_path(str(location)), _beside(str(location), address)
        if stored is None or here is None or here == stored:
            continue
        if here.exists() or (_is_default(str(name), stored) and not stored.exists()):
            yield stored, here


def _is_default(study: str, stored: Path) -> bool:
    """Whether a location has the form that `default_location` gives a study's, in whatever folder."""
    return stored.parts[-2:] == (FOLDER, model_name(study))


def _columns(connection: sqlalchemy.Connection) -> Iterator[tuple[str, str]]:
    inspector = sqlalchemy.inspect(connection)
    for table, columns in COLUMNS.items():
        known = (
            {column["name"] for column in inspector.get_columns(table)} if inspector.has_table(table) else ()
        )
        yield from ((table, column) for column in columns if column in known)


def _rewrite(connection: sqlalchemy.Connection, table: str, column: str, stored: Path, here: Path) -> None:
    """Exchange a folder in one column, in both forms of a location: an address and a path."""
    for old, new in ((stored.as_uri(), here.as_uri()), (str(stored), str(here))):
        connection.exec_driver_sql(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
            f"WHERE substr({column}, 1, ?) = ? AND substr({column}, ?, 1) IN ('', '/')",
            (new, len(old) + 1, len(old), old, len(old) + 1),
        )
