"""The creation lock: one process at a time makes tables or studies in a storage."""

import fcntl
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from search.errors import StorageRefused, StorageUnavailable
from search.storage.urls import MYSQL, POSTGRESQL, backend, redacted_url

WAIT_SECONDS = 60
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
        got = connection.execute(
            text("SELECT GET_LOCK(:name, :seconds)"), {"name": name, "seconds": WAIT_SECONDS}
        )
        if got.scalar() != 1:
            raise _timed_out(url)
        try:
            yield
        finally:
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name})


def _file(url: URL) -> Iterator[None]:
    # A file of its own: the system drops SQLite's locks on the database when any handle of it is closed.
    database = Path(url.database or "")
    path = database.with_name(f".{database.name}.lock")
    try:
        file = path.open("a")
    except OSError as error:
        raise StorageRefused(
            f"storage {redacted_url(url)}: cannot write {path} ({error.strerror}); check the permissions"
        ) from None
    with file:
        _wait(file, url)
        yield


def _wait(file: TextIO, url: URL) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise _timed_out(url) from None
            time.sleep(0.05)
        else:
            return


def _timed_out(url: URL) -> StorageUnavailable:
    return StorageUnavailable(
        f"storage {redacted_url(url)}: another process has been creating it for {WAIT_SECONDS} s; try again"
    )
