"""The one place that opens storages: ours and Optuna's tables in one database."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import optuna.logging
from optuna.storages import BaseStorage, RDBStorage, get_storage
from sqlalchemy import Connection, Engine, insert, inspect, select
from sqlalchemy.engine import URL

from search.errors import StorageRefused
from search.storage.engines import READ_ONLY, begin_immediately, build_engine, engine_options, write_ahead
from search.storage.faults import guarded
from search.storage.locks import creation_lock
from search.storage.mounts import network_type
from search.storage.tables import SCHEMA_VERSION, Base, Schema
from search.storage.urls import SQLITE, backend, parse, redacted_url, require_driver

log = logging.getLogger(__name__)

# Optuna's messages go the way of everybody's logs; by itself it writes them to stderr.
optuna.logging.disable_default_handler()
optuna.logging.enable_propagation()

MLFLOW_TABLES = {"experiments", "runs", "experiment_tags"}


@dataclass(frozen=True)
class Store:
    """An open storage. Threads may share it; processes open their own."""

    url: URL
    engine: Engine
    """For our own tables."""
    rdb: RDBStorage
    """Optuna's storage, uncached: for questions about trials that others may just have changed."""
    optuna: BaseStorage
    """The same behind Optuna's cache of finished trials: for studies and samplers."""

    @property
    def address(self) -> str:
        """The URL as it may be shown."""
        return redacted_url(self.url)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction on our tables."""
        with guarded(self.url), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads our tables."""
        reader = self.engine.execution_options(**{READ_ONLY: True})
        with guarded(self.url), reader.begin() as connection:
            yield connection

    def guard(self) -> AbstractContextManager[None]:
        """Translate errors of Optuna's storage; to wrap every call of `suggest_*`, `report`, `tell`."""
        return guarded(self.url)

    @contextmanager
    def creation_lock(self) -> Iterator[None]:
        """Hold the lock under which tables and studies are created."""
        with guarded(self.url), creation_lock(self.url, self.engine):
            yield

    def close(self) -> None:
        """Close all connections."""
        self.rdb.remove_session()
        self.rdb.engine.dispose()
        self.engine.dispose()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_storage(url: str, create: bool = False) -> Store:
    """Open a storage; `create` makes what is missing. Raises StorageRefused, StorageUnavailable."""
    parsed = parse(url)
    require_driver(parsed)
    if backend(parsed) is SQLITE:
        _check_file(parsed, create)
    engine = build_engine(parsed)
    try:
        with guarded(parsed):
            _prepare(parsed, engine, create)
            rdb = _optuna_storage(parsed, create_tables=False)
    except BaseException:
        engine.dispose()
        raise
    begin_immediately(rdb.engine)
    return Store(parsed, engine, rdb, get_storage(rdb))


def _check_file(url: URL, create: bool) -> None:
    shown = redacted_url(url)
    if not url.database or url.database == ":memory:":
        raise StorageRefused(
            f"storage {shown} lives in the memory of one process; give a file, such as sqlite:///omad.db"
        )
    if url.database.startswith("file:"):
        raise StorageRefused(f"storage {shown}: SQLite's file: form is not supported; give a plain path")
    path = Path(url.database)
    if not path.parent.is_dir():
        raise StorageRefused(f"storage {shown}: there is no folder {path.parent.resolve()}; create it first")
    if path.is_dir():
        raise StorageRefused(f"storage {shown} is a folder; give a file in it, such as {path / 'omad.db'}")
    if kind := network_type(path):
        raise StorageRefused(
            f"storage {shown} lies on a network file system ({kind}), where SQLite loses writes; give a path on a "
            "local disk, or PostgreSQL: postgresql://user@host/database"
        )
    if not create and not path.exists():
        raise StorageRefused(f"storage {shown}: there is no such file; `omad-search run` creates one")


def _prepare(url: URL, engine: Engine, create: bool) -> None:
    version = _schema_version(engine)
    if version is None and not create:
        raise StorageRefused(
            f"storage {redacted_url(url)} holds no study of omad-search; `omad-search run` creates one"
        )
    if version is None:
        with creation_lock(url, engine):
            version = _schema_version(engine) or _create(url, engine)
    if version != SCHEMA_VERSION:
        raise StorageRefused(_other_version(url, version))


def _schema_version(engine: Engine) -> int | None:
    with engine.execution_options(**{READ_ONLY: True}).begin() as connection:
        if not inspect(connection).has_table(Schema.__tablename__):
            return None
        return connection.scalar(select(Schema.version))


def _create(url: URL, engine: Engine) -> int:
    """Make Optuna's tables and ours; every step can be repeated, so a crash in between is repaired."""
    if set(inspect(engine).get_table_names()) >= MLFLOW_TABLES:
        raise StorageRefused(
            f"storage {redacted_url(url)} holds MLflow's tables; Optuna and MLflow cannot share one schema "
            "(both own `alembic_version`). Give each its own database, SQLite file, or PostgreSQL schema, "
            "such as postgresql://user@host/database?options=-csearch_path%3Doptuna"
        )
    if backend(url) is SQLITE:
        write_ahead(engine)
    _optuna_storage(url, create_tables=True).engine.dispose()
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(Schema).values(id=1, version=SCHEMA_VERSION))
    log.info("created the tables of storage %s", redacted_url(url))
    return SCHEMA_VERSION


def _optuna_storage(url: URL, create_tables: bool) -> RDBStorage:
    # Optuna formats the URL as a template, so braces (in a password) are doubled.
    text = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    try:
        return RDBStorage(text, engine_kwargs=engine_options(url), skip_table_creation=not create_tables)
    except RuntimeError as error:
        raise StorageRefused(f"storage {redacted_url(url)}: {error}") from None


def _other_version(url: URL, version: int) -> str:
    what = "a newer" if version > SCHEMA_VERSION else "an older"
    todo = "upgrade omad-search here" if version > SCHEMA_VERSION else "use the release that made it"
    return (
        f"storage {redacted_url(url)} was made by {what} omad-search (schema {version}; this release knows "
        f"{SCHEMA_VERSION}): {todo}, or give another storage"
    )
