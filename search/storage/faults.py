"""The border to SQLAlchemy, the drivers and Optuna's storage: their errors become ours here."""

from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from search.errors import Duplicate, SearchError, StorageRefused, StorageUnavailable
from search.storage.away import reason
from search.storage.urls import redacted_url, scrubbed

CHECK_SERVER = "check the address, that the server runs, user and password (URL, PGPASSFILE, OMAD_STORAGE)"

# SQLite's result codes, by the beginning of their names: (error, what a person should know).
SQLITE_FAULTS: tuple[tuple[str, type[SearchError], str], ...] = (
    ("SQLITE_NOTADB", StorageRefused, "the file is not an SQLite database; give another path"),
    ("SQLITE_CORRUPT", StorageRefused, "the file is damaged; restore it from a copy"),
    ("SQLITE_READONLY", StorageRefused, "the file cannot be written; check its permissions"),
    ("SQLITE_CANTOPEN", StorageRefused, "the file cannot be opened; check the path and its permissions"),
    ("SQLITE_PERM", StorageRefused, "the file cannot be opened; check its permissions"),
    ("SQLITE_BUSY", StorageUnavailable, "another process holds the file; try again"),
    ("SQLITE_LOCKED", StorageUnavailable, "another process holds the file; try again"),
    ("SQLITE_FULL", StorageUnavailable, "the disk is full; free some space"),
    ("SQLITE_IOERR", StorageUnavailable, "the disk reports an input/output error"),
)


@contextmanager
def guarded(url: URL) -> Iterator[None]:
    """Translate whatever the database, its driver or Optuna's storage raises into a SearchError."""
    try:
        yield
    except StorageInternalError as error:
        raise translated(error.__cause__ or error, url) from error
    except SQLAlchemyError as error:
        raise translated(error, url) from error


def translated(error: BaseException, url: URL) -> SearchError:
    """The SearchError that says what a foreign error means for a caller."""
    where = f"storage {redacted_url(url)}"
    text = scrubbed(str(error.orig if isinstance(error, DBAPIError) else error), url)
    if isinstance(error, IntegrityError):
        return Duplicate(f"{where}: {text}")
    name = getattr(getattr(error, "orig", None), "sqlite_errorname", "")
    for prefix, kind, meaning in SQLITE_FAULTS:
        if name.startswith(prefix):
            return kind(f"{where}: {meaning} ({text})")
    if not name and _passing(error):
        return StorageUnavailable(f"{where}: {reason(text, url) or f'{text}; {CHECK_SERVER}'}")
    return StorageRefused(f"{where}: {text}")


def _passing(error: BaseException) -> bool:
    """Whether the same statement may succeed later: lost connections, deadlocks, servers that restart."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, (OperationalError, InterfaceError, InternalError, PoolTimeout))
