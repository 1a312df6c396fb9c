"""SQLAlchemy engines for our storages: short connections, timeouts of seconds, honest SQLite transactions."""

import sqlite3
import time
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from search.storage.urls import MYSQL, POSTGRESQL, backend

READ_ONLY = "omad_read_only"
"""Execution option of a connection that only reads: it sees one moment, and on SQLite does not wait for writers."""

BEGIN_READING: dict[str, tuple[str, ...]] = {
    "sqlite": ("BEGIN",),
    "postgresql": ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",),
    "mysql": ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION READ ONLY"),
}
BEGIN_WRITING: dict[str, tuple[str, ...]] = {"sqlite": ("BEGIN IMMEDIATE",)}
"""By dialect, what begins a transaction, beside what the driver sends by itself."""

SQLITE_BUSY_SECONDS = 30
CONNECT_SECONDS = 5
SILENT_SECONDS = 30

POSTGRESQL_ARGS: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "tcp_user_timeout": SILENT_SECONDS * 1000,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # Connections are too short to profit from prepared statements, and poolers in between refuse them.
    "prepare_threshold": None,
}
MYSQL_ARGS: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "read_timeout": SILENT_SECONDS,
    "write_timeout": SILENT_SECONDS,
}
# The driver must not begin transactions by itself: it begins them late, so that two readers both become
# writers and one of them fails. See `begin_explicitly`.
SQLITE_ARGS: dict[str, Any] = {"isolation_level": None, "timeout": SQLITE_BUSY_SECONDS}


def engine_options(url: URL) -> dict[str, Any]:
    """Arguments of `create_engine`; what the user wrote into the URL goes before our timeouts."""
    kind = backend(url)
    if kind not in (POSTGRESQL, MYSQL):
        return {"connect_args": dict(SQLITE_ARGS)}
    ours = POSTGRESQL_ARGS if kind is POSTGRESQL else MYSQL_ARGS
    args = {key: value for key, value in ours.items() if key not in url.query}
    # No pool: a worker that trains for hours holds no connection meanwhile.
    return {"connect_args": args, "poolclass": NullPool}


def build_engine(url: URL) -> Engine:
    """An engine on a parsed URL, for our own tables."""
    engine = create_engine(url, **engine_options(url))
    begin_explicitly(engine)
    return engine


def begin_explicitly(engine: Engine) -> None:
    """Begin transactions that read with a snapshot, and on SQLite those that write with the write lock."""
    event.listen(engine, "begin", _begin)


def _begin(connection: Connection) -> None:
    reading = connection.get_execution_options().get(READ_ONLY, False)
    statements = BEGIN_READING if reading else BEGIN_WRITING
    for statement in statements.get(connection.dialect.name, ()):
        connection.exec_driver_sql(statement)


def write_ahead(engine: Engine) -> None:
    """Put an SQLite file into WAL mode, for good: then readers and a writer do not wait for each other."""
    end = time.monotonic() + SQLITE_BUSY_SECONDS
    while True:
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # SQLite does not wait by itself here when others are just looking into the file.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise OperationalError("PRAGMA journal_mode=WAL", None, error) from error
            time.sleep(0.02)
        else:
            return
        finally:
            raw.close()
