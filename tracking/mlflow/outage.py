"""Why a tracking store cannot be reached, and what to do next, in one sentence without the texts of its errors."""

import socket
from collections.abc import Iterator

import requests
import sqlalchemy.exc

from tracking.knock import NO_SUCH_HOST, NOTHING_LISTENS, unreachable
from tracking.mlflow_address import is_web
from tracking.redact import redact

DEEPEST = 20
_LOST = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.RetryError,
    requests.exceptions.ChunkedEncodingError,
    sqlalchemy.exc.OperationalError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
    ConnectionError,
    TimeoutError,
)
_SERVER: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, NO_SUCH_HOST),
    (
        requests.exceptions.SSLError,
        "its certificate is not accepted here; see MLFLOW_TRACKING_SERVER_CERT_PATH",
    ),
    (requests.exceptions.RetryError, "it answers with errors; its own log says which"),
    (ConnectionRefusedError, NOTHING_LISTENS),
    (requests.Timeout, "it does not answer in time; check the network and whether the server is overloaded"),
    (TimeoutError, "it does not answer in time; check the network and whether the server is overloaded"),
)
_SERVER_ELSE = "the connection breaks; check the network, and that the server runs"
_SQLITE = (
    ("SQLITE_BUSY", "another program has held the file for long; end that one"),
    ("SQLITE_LOCKED", "another program has held the file for long; end that one"),
    ("SQLITE_FULL", "the disk is full; free some space on it"),
    ("SQLITE_READONLY", "it cannot be written; change its permissions"),
    ("SQLITE_CANTOPEN", "it cannot be opened; check the path and its permissions"),
    ("SQLITE_IOERR", "its disk reports an error; check the disk"),
)
_DATABASE_ELSE = "check the address, that the database server runs, and user and password"
_SERVER_SAYS = "FATAL:"
"""Begins what a PostgreSQL server itself says of a refused connection."""


def is_away(error: BaseException) -> bool:
    """Whether a lost connection is at the root: MLflow wraps those in errors of other kinds."""
    return any(isinstance(each, _LOST) for each in chain(error))


def sentence(error: BaseException, address: str) -> str:
    """Such as `The tracking server X cannot be reached: nothing listens there; start the server, or ...`."""
    web = is_web(address)
    kind, reason = ("server", _of_server(error)) if web else ("database", _of_database(error))
    return unreachable(kind, address, reason)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those it came from, the outermost first."""
    for _ in range(DEEPEST):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _of_server(error: BaseException) -> str:
    errors = list(chain(error))
    found = (reason for kind, reason in _SERVER if any(isinstance(each, kind) for each in errors))
    return next(found, _SERVER_ELSE)


def _of_database(error: BaseException) -> str:
    for each in chain(error):
        code = getattr(each, "sqlite_errorname", "")
        for name, reason in _SQLITE:
            if code.startswith(name):
                return reason
        if isinstance(each, ConnectionRefusedError) or "Connection refused" in str(each):
            return "nothing listens there; start the database server, or correct the address"
        if _SERVER_SAYS in str(each):
            said = str(each).partition(_SERVER_SAYS)[2].strip().splitlines()[0]
            return f"it says that {redact(said)}; {_DATABASE_ELSE}"
    return _DATABASE_ELSE
