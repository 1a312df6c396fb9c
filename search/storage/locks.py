"""The creation lock: one process at a time makes tables or studies in a storage."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from search.errors import StorageRefused, StorageUnavailable
from search.storage.urls import MYSQL, POSTGRESQL, backend, redact_url

WAIT_SECONDS = 60
STEP_SECONDS = 1
"""Of waiting at MySQL: one that lasts would be taken for a server that is silent."""
ADVISORY_KEY = int.from_bytes(hashlib.sha256(b"omad-search creation").digest()[:7], "big")
"""Number of PostgreSQL's advisory lock; those are per database."""


@contextmanager
def creation_lock(url: URL, engine: Engine) -> Iterator[None]:
    """Hold the storage's creation lock; it is free again if this process dies. Raises StorageUnavailable."""
    kind = backend(url)
    if kind is POSTGRESQL:
        yield from _advisory(engine)
    elif kind is MYSQL:
        yield from _named(url, engine)
    else:
        yield from _file(url)


def _advisory(engine: Engine) -> Iterator[None]:
    # Bound to a transaction, not to a session: that works through connection poolers too.
    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_KEY})
        yield


def _named(url: URL, engine: Engine) -> Iterator[None]:
    # MySQL's named locks belong to the whole server and end at 64 characters.
    name = "omad-search " + hashlib.sha256((url.database or "").encode()).hexdigest()[:32]
    with engine.connect() as connection:
        tried = text("SELECT GET_LOCK(:name, :seconds)"), {"name": name, "seconds": STEP_SECONDS}
        if not any(connection.scalar(*tried) == 1 for _ in range(WAIT_SECONDS // STEP_SECONDS)):
            raise _timed_out(url)
        try:
            yield
        finally:
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})


def _file(url: URL) -> Iterator[None]:
    # A file of its own: the system drops SQLite's locks on the database when any handle of it is closed.
    database = Path(url.database or "")
    path = database.with_name(f".{database.name}.lock")
    lock = FileLock(path, timeout=WAIT_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise _timed_out(url) from None
    except OSError as error:
        raise StorageRefused(
            f"storage {redact_url(url)}: cannot write {path} ({error.strerror}); check the permissions"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _timed_out(url: URL) -> StorageUnavailable:
    return StorageUnavailable(
        f"storage {redact_url(url)}: another process has been creating it for {WAIT_SECONDS} s; try again"
    )
