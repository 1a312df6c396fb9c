"""One sentence for why a tracking store cannot be reached and what to do next, without the texts of its errors."""

import os
import socket
from collections.abc import Iterator

import requests
import sqlalchemy.exc

from tracking.mlflow.address import is_web
from tracking.mlflow.probe import NO_SUCH_HOST, NOTHING_LISTENS, proxy_note, unreachable
from tracking.redaction import redact
from tracking.sqlite_fault import sqlite_fault

DEEPEST = 20
CERTIFICATES = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that name the certificates to trust, the first one that is set before the others."""
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
_DATABASE_ELSE = "check the address, that the database server runs, and user and password"
_SERVER_SAYS = "FATAL:"
"""The begin of a PostgreSQL server's own message for a refused connection."""


def is_outage(error: BaseException) -> bool:
    """Whether a lost connection is at the root: MLflow wraps those in errors of other kinds."""
    return any(isinstance(cause, _LOST) for cause in chain(error))


def sentence(error: BaseException, address: str) -> str:
    """Such as `The tracking server X cannot be reached: nothing listens there; start the server, or ...`."""
    web = is_web(address)
    kind, reason = ("server", _of_server(error)) if web else ("database", _of_database(error))
    note = (
        _certificates_note() if any(isinstance(e, requests.exceptions.SSLError) for e in chain(error)) else ""
    )
    return unreachable(kind, address, reason) + note


def environment_note(address: str) -> str:
    """What of this process's environment may be at fault where a server is refused or answers strangely."""
    return proxy_note(address) + (_certificates_note() if address.startswith("https:") else "")


def _certificates_note() -> str:
    name = next((name for name in CERTIFICATES if os.environ.get(name)), None)
    return "" if name is None else f" Certificates are read from {os.environ[name]} ({name})."


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those it came from, the outermost first."""
    for _ in range(DEEPEST):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _of_server(error: BaseException) -> str:
    errors = list(chain(error))
    found = (reason for kind, reason in _SERVER if any(isinstance(cause, kind) for cause in errors))
    return next(found, _SERVER_ELSE)


def _of_database(error: BaseException) -> str:
    for cause in chain(error):
        if fault := sqlite_fault(cause):
            return fault.meaning
        if isinstance(cause, ConnectionRefusedError) or "Connection refused" in str(cause):
            return "nothing listens there; start the database server, or correct the address"
        if _SERVER_SAYS in str(cause):
            said = str(cause).partition(_SERVER_SAYS)[2].strip().splitlines()[0]
            return f"it says that {redact(said)}; {_DATABASE_ELSE}"
    return _DATABASE_ELSE
