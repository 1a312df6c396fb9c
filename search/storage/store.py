"""The one place that opens storages: ours and Optuna's tables in one database."""

import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import optuna.logging
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.storages._rdb.models import VersionInfoModel
from optuna.version import __version__ as OPTUNA_VERSION
from sqlalchemy import Connection, Engine, insert, inspect, select, update
from sqlalchemy.engine import URL

from search.errors import StorageEmpty, StorageRefused
from search.storage import sqlite_file
from search.storage.engines import READ_ONLY, begin_explicitly, build_engine, engine_options, write_ahead
from search.storage.faults import guarded
from search.storage.locks import creation_lock
from search.storage.reader import Snapshot
from search.storage.tables import SCHEMA_VERSION, UPGRADED, Base, Schema, foreign_tables
from search.storage.urls import SQLITE, backend, parse, redact_url, require_driver

log = logging.getLogger(__name__)

# Optuna's messages go through our logging; by itself it writes them to stderr.
optuna.logging.disable_default_handler()
optuna.logging.enable_propagation()

MLFLOW_TABLES = {"experiments", "runs", "experiment_tags"}


@dataclass(frozen=True)
class Store:
    """An open storage. Threads may share it; processes open their own."""

    url: URL
    engine: Engine
    """For our own tables, and for plain reading of Optuna's."""

    _optuna: list[tuple[RDBStorage, BaseStorage]] = field(default_factory=list, repr=False, compare=False)
    _opening: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def rdb(self) -> RDBStorage:
        """Optuna's storage, uncached: for questions about trials that others may just have changed."""
        return self._open()[0]

    @property
    def optuna(self) -> BaseStorage:
        """The same behind Optuna's cache of finished trials: for studies and samplers."""
        return self._open()[1]

    @property
    def whole(self) -> bool:
        """Whether Optuna's part is open."""
        return bool(self._optuna)

    def _open(self) -> tuple[RDBStorage, BaseStorage]:
        with self._opening:
            if not self._optuna:
                with guarded(self.url):
                    rdb = _optuna_storage(self.url, create_tables=False)
                begin_explicitly(rdb.engine)
                self._optuna.append((rdb, get_storage(rdb)))
            return self._optuna[0]

    @property
    def address(self) -> str:
        """The URL as it may be shown."""
        return redact_url(self.url)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction on our tables."""
        with guarded(self.url), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads, ours and Optuna's tables, all of it at one moment."""
        with guarded(self.url), _reading(self.engine) as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The storage at one moment, for several reading functions whose answers must agree."""
        with self.read() as connection:
            yield Snapshot(self.address, connection)

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
        if self.whole:
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
    """Open a storage; `create` makes what is missing. Raises StorageRefused, StorageUnavailable.

    One that holds nothing of ours, without `create`: StorageEmpty.
    """
    return _open(url, create, whole=True)


def look_into(url: str) -> Store:
    """Open a storage for reading: Optuna's part, which takes a while, when it is first used.

    Raises what `open_storage` raises.
    """
    return _open(url, create=False, whole=False)


def _open(url: str, create: bool, whole: bool) -> Store:
    parsed = _check_url(url, create)
    store = Store(parsed, build_engine(parsed))
    try:
        with guarded(parsed):
            _prepare(parsed, store.engine, create, upgrade=whole)
            if whole or not _is_of_this_optuna(store.engine):
                _ = store.optuna  # says whether this Optuna can use what it finds
    except BaseException:
        store.close()
        raise
    return store


def probe_storage(url: str) -> None:
    """Raise what opening it with `create` would, and leave nothing behind."""
    parsed = _check_url(url, create=True)
    if backend(parsed) is SQLITE and not Path(str(parsed.database)).exists():
        return  # looking would make an empty file
    engine = build_engine(parsed)
    try:
        with guarded(parsed):
            _version_here(parsed, engine)
    finally:
        engine.dispose()


def _check_url(url: str, create: bool) -> URL:
    """The URL, if it names a storage that can be opened from here. Raises StorageRefused."""
    parsed = parse(url)
    require_driver(parsed)
    if backend(parsed) is SQLITE:
        sqlite_file.check(parsed, create)
    return parsed


def _prepare(url: URL, engine: Engine, create: bool, upgrade: bool) -> None:
    version = _version_here(url, engine)
    if version in UPGRADED and upgrade:
        _upgrade(url, engine)
    if version is not None:
        return
    if not create:
        raise StorageEmpty(
            f"storage {redact_url(url)} holds no study of omad-search; `omad-search run` creates one"
        )
    with creation_lock(url, engine):
        if _version_here(url, engine) is None:
            _create(url, engine)


def _version_here(url: URL, engine: Engine) -> int | None:
    """Version of our tables; None where they may be made. Raises StorageRefused for what we cannot use."""
    version = _schema_version(engine)
    if version not in (None, SCHEMA_VERSION, *UPGRADED):
        raise StorageRefused(_other_version(url, version))
    if version is None and set(inspect(engine).get_table_names()) >= MLFLOW_TABLES:
        raise StorageRefused(
            f"storage {redact_url(url)} holds MLflow's tables; Optuna and MLflow cannot share one schema "
            "(both own `alembic_version`). Give each its own database, SQLite file, or PostgreSQL schema, "
            "such as postgresql://user@host/database?options=-csearch_path%3Doptuna"
        )
    if version is None and (foreign := foreign_tables(engine)):
        raise StorageRefused(
            f"storage {redact_url(url)} holds tables of another program: {', '.join(foreign)}. Give Optuna a "
            "database, SQLite file or PostgreSQL schema of its own"
        )
    return version


def _reading(engine: Engine) -> AbstractContextManager[Connection]:
    return engine.execution_options(**{READ_ONLY: True}).begin()


def _schema_version(engine: Engine) -> int | None:
    with _reading(engine) as connection:
        if not inspect(connection).has_table(Schema.__tablename__):
            return None
        return connection.scalar(select(Schema.version))


def _is_of_this_optuna(engine: Engine) -> bool:
    """Whether Optuna's tables were made, or brought up to date, by the very release that runs here."""
    with _reading(engine) as connection:
        return connection.scalar(select(VersionInfoModel.library_version)) == OPTUNA_VERSION


def _create(url: URL, engine: Engine) -> None:
    """Make Optuna's tables and ours; every step can be repeated, so a crash in between is repaired."""
    if backend(url) is SQLITE:
        write_ahead(engine)
    _optuna_storage(url, create_tables=True).engine.dispose()
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(Schema).values(id=1, version=SCHEMA_VERSION))
    log.info("created the tables of storage %s", redact_url(url))


def _upgrade(url: URL, engine: Engine) -> None:
    """Make the tables that an earlier release did not have; every step can be repeated."""
    with creation_lock(url, engine):
        Base.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(update(Schema).values(version=SCHEMA_VERSION))
    log.info("storage %s has the tables of this release now; earlier ones refuse it", redact_url(url))


def _optuna_storage(url: URL, create_tables: bool) -> RDBStorage:
    # Optuna formats the URL as a template, so braces (in a password) are doubled.
    text = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    try:
        return RDBStorage(text, engine_kwargs=engine_options(url), skip_table_creation=not create_tables)
    except RuntimeError as error:
        raise StorageRefused(f"storage {redact_url(url)}: {error}") from None


def _other_version(url: URL, version: int) -> str:
    what = "a newer" if version > SCHEMA_VERSION else "an older"
    todo = "upgrade omad-search here" if version > SCHEMA_VERSION else "use the release that made it"
    return (
        f"storage {redact_url(url)} was made by {what} omad-search (schema {version}; this release knows "
        f"{SCHEMA_VERSION}): {todo}, or give another storage"
    )
