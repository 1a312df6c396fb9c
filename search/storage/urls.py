"""Storage URLs: what a user may type, the driver we choose for it, and how it is shown."""

import importlib
import re
from dataclasses import dataclass

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from search.errors import AddressRefused, StorageRefused

HIDDEN = "***"
SECRET_OPTIONS = ("password", "passwd", "sslpassword", "ssl_key_password")


@dataclass(frozen=True)
class Backend:
    """One kind of database: the driver we use for it and what installs that driver."""

    drivername: str
    module: str | None
    extra: str | None
    title: str


SQLITE = Backend("sqlite", None, None, "SQLite")
POSTGRESQL = Backend("postgresql+psycopg", "psycopg", "postgres", "PostgreSQL")
MYSQL = Backend("mysql+pymysql", "pymysql", "mysql", "MySQL")

BACKENDS = {
    "sqlite": SQLITE,
    "postgresql": POSTGRESQL,
    "postgres": POSTGRESQL,
    "mysql": MYSQL,
    "mariadb": MYSQL,
}
ENCODING = "In user and password, write @ as %40, / as %2F, : as %3A, ? as %3F, # as %23 and % as %25"
EXAMPLES = "sqlite:///omad.db, postgresql://user@host/database or mysql://user@host/database"


def parse(url: str) -> URL:
    """The URL with our driver in it. Raises AddressRefused where it cannot name a storage of ours."""
    text = url.strip()  # variables and files often end with a newline
    shown = f"storage {redact_url(text)!r}"
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError):
        hint = f". {ENCODING}" if "@" in text else ""
        raise AddressRefused(f"{shown} is not a URL; it should look like {EXAMPLES}{hint}") from None
    scheme = parsed.drivername.partition("+")[0]
    if scheme not in BACKENDS:
        raise AddressRefused(f"{shown}: {scheme!r} is not supported; it should look like {EXAMPLES}")
    if _is_torn(parsed):
        raise AddressRefused(f"{shown} has more than one @. {ENCODING}")
    return parsed.set(drivername=BACKENDS[scheme].drivername)


def _is_torn(url: URL) -> bool:
    """Whether the password has an `@` that was taken for its end: the rest is in host or database then."""
    return url.host is not None and "@" in f"{url.host}/{url.database}"


def backend(url: URL) -> Backend:
    """The backend of a parsed URL."""
    return BACKENDS[url.drivername.partition("+")[0]]


def require_driver(url: URL) -> None:
    """Import the driver. Raises StorageRefused with the line that installs it."""
    kind = backend(url)
    if kind.module is None:
        return
    try:
        importlib.import_module(kind.module)
    except ImportError as error:
        raise StorageRefused(
            f"storage {redact_url(url)}: the {kind.title} driver cannot be imported ({error}); "
            f"install it with: pip install 'omad-search[{kind.extra}]'"
        ) from None


def redact_url(url: str | URL) -> str:
    """The URL as a person writes it and it may be shown: without our driver, and without passwords anywhere."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return _cut(str(url))
    if _is_torn(parsed):
        return _cut(str(url))
    secret = {key: HIDDEN for key in parsed.query if key in SECRET_OPTIONS}
    parsed = parsed.set(drivername=parsed.drivername.partition("+")[0]).update_query_dict(secret)
    return parsed.render_as_string(hide_password=True).replace("%2A%2A%2A", HIDDEN)


def _cut(url: str) -> str:
    """A text that is no URL without what may be a password in it."""
    return re.sub(r"(://[^:/@]*):.*@", rf"\1:{HIDDEN}@", url)


def scrub(text: str, url: URL) -> str:
    """A driver's message without the URL's password, on one line."""
    secrets = [url.password, *(value for key, value in url.query.items() if key in SECRET_OPTIONS)]
    for secret in secrets:
        if secret:
            text = text.replace(str(secret), HIDDEN)
    return " ".join(text.split())
