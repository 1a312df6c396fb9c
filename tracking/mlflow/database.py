"""Databases that MLflow records to without a server: reached quickly, and created by one client alone.

MLflow creates its tables on first contact, and clients that meet an empty database at once destroy each
other's work. So an empty database is created here, under a lock, before MLflow looks at it.
"""

import importlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import mlflow.db
import sqlalchemy
import sqlalchemy.exc
import sqlalchemy.orm
from filelock import FileLock
from sqlalchemy.pool import NullPool

from tracking.errors import TrackingRefused
from tracking.mlflow.address import scheme, sqlite_address, sqlite_path
from tracking.redaction import redact

CONNECT_SECONDS = 2
_LOCK_NUMBER = 0x6F6D6164  # one number for all clients of this project: "omad" in ASCII


def prepare(address: str) -> None:
    """Reach the database within seconds, and create MLflow's tables where there are none."""
    _load_table_descriptions()
    path = sqlite_path(address)
    if path is not None:
        _prepare_sqlite(path)
    _refuse_optuna(address)
    if not _is_ready(address):
        with _advisory_lock(address):
            if not _is_ready(address):
                _create_tables(address)


@cache
def _load_table_descriptions() -> None:
    """Load what clients of a server never need, and without the warnings that SQLAlchemy has for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sqlalchemy.exc.SADeprecationWarning)
        importlib.import_module("mlflow.store.db.utils")
        sqlalchemy.orm.configure_mappers()


def _prepare_sqlite(path: Path) -> None:
    """Create the database beside its place and move it there whole, so that a kill leaves nothing half made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if _has_content(path):
        return
    with FileLock(path.with_name(f".{path.name}.lock")):
        if not _has_content(path):
            with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
                fresh = Path(folder) / path.name
                _create_tables(sqlite_address(fresh))
                fresh.replace(path)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _engine(address: str) -> sqlalchemy.Engine:
    """An engine that gives up soon and keeps no connection."""
    limits = {"connect_timeout": CONNECT_SECONDS} if scheme(address) in ("postgresql", "mysql") else {}
    return sqlalchemy.create_engine(address, poolclass=NullPool, connect_args=limits)


def _is_ready(address: str) -> bool:
    """Whether tables were created to the end: then the database names their revision."""
    with _engine(address).connect() as connection:
        if not sqlalchemy.inspect(connection).has_table("alembic_version"):
            return False
        return connection.execute(sqlalchemy.text("SELECT 1 FROM alembic_version")).first() is not None


def _refuse_optuna(address: str) -> None:
    with _engine(address).connect() as connection:
        shared = sqlalchemy.inspect(connection).has_table("study_directions")
    if shared:
        raise TrackingRefused(
            f"The database {redact(address)} holds Optuna's studies, and MLflow cannot share it: give "
            "tracking a database of its own (or, in PostgreSQL, a schema of its own)."
        )


@contextmanager
def _advisory_lock(address: str) -> Iterator[None]:
    """Exclude other clients of a PostgreSQL database; other kinds have no lock that is known here."""
    if scheme(address) != "postgresql":
        yield
        return
    with _engine(address).connect() as connection:
        number = {"number": _LOCK_NUMBER}
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:number)"), number)
        try:
            yield
        finally:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:number)"), number)


def _create_tables(address: str) -> None:
    """What `mlflow db upgrade` does, with the address kept off command lines and without its long log."""
    alembic = logging.getLogger("alembic")
    level = alembic.level
    alembic.setLevel(logging.WARNING)
    try:
        mlflow.db.upgrade.main([address], standalone_mode=False)
    finally:
        alembic.setLevel(level)
