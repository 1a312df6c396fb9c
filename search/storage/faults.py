"""The border to SQLAlchemy, the drivers and Optuna's storage: their errors become ours here."""

from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from optuna.storages._rdb.models import NOT_FOUND_MSG as OPTUNA_NOT_FOUND
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NoResultFound,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from search.errors import Duplicate, SearchError, StorageRefused, StorageUnavailable, StudyDeleted
from search.storage.outage import meaning
from search.storage.urls import redact_url, scrub
from tracking.sqlite_fault import sqlite_fault


@contextmanager
def guarded(url: URL) -> Iterator[None]:
    """Translate whatever the database, its driver or Optuna's storage raises into a SearchError."""
    try:
        yield
    except StorageInternalError as error:
        raise translate(error.__cause__ or error, url) from error
    except SQLAlchemyError as error:
        raise translate(error, url) from error
    except KeyError as error:
        if error.args != (OPTUNA_NOT_FOUND,):
            raise
        raise _deleted(url) from error


def translate(error: BaseException, url: URL) -> SearchError:
    """The SearchError that says what a foreign error means for a caller."""
    if isinstance(error, NoResultFound):
        return _deleted(url)
    where = f"storage {redact_url(url)}"
    text = scrub(str(error.orig if isinstance(error, DBAPIError) else error), url)
    if isinstance(error, IntegrityError):
        return Duplicate(f"{where}: {text}")
    driver = getattr(error, "orig", None)
    if fault := sqlite_fault(driver):
        kind = StorageUnavailable if fault.passes else StorageRefused
        return kind(f"{where}: {fault.meaning} ({text})")
    if not hasattr(driver, "sqlite_errorname") and _is_passing(error):
        return StorageUnavailable(f"{where}: {meaning(text, url)}")
    return StorageRefused(f"{where}: {text}")


def _deleted(url: URL) -> StudyDeleted:
    """A row of a study that is known to have been there is missing."""
    return StudyDeleted(f"the study was deleted from storage {redact_url(url)} while it was worked at")


def _is_passing(error: BaseException) -> bool:
    """Whether the same statement may succeed later: lost connections, deadlocks, servers that restart."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, (OperationalError, InterfaceError, InternalError, PoolTimeout))
