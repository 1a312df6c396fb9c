"""The tracking address: what kind of store it names, and whether this project can use it."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow import get_tracking_uri

from tracking.errors import TrackingAddressRefused
from tracking.redaction import redact

WEB_SCHEMES = ("http", "https")
DATABASE_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql")


def resolve(uri: str | None) -> str:
    """The full address: None means MLflow's own default, a relative SQLite path the working folder."""
    address = uri if uri is not None else get_tracking_uri()
    kind = scheme(address)
    if kind not in (*WEB_SCHEMES, *DATABASE_SCHEMES):
        raise TrackingAddressRefused(
            f"{redact(address)!r} is no tracking address: use http://HOST:PORT of an MLflow server, "
            "sqlite:///FILE, or postgresql://USER@HOST/DATABASE."
        )
    if kind in WEB_SCHEMES and not urlsplit(address).hostname:
        raise TrackingAddressRefused(
            f"The tracking address {redact(address)!r} names no host: use http://HOST:PORT."
        )
    path = sqlite_path(address)
    return address if path is None else sqlite_address(path)


def scheme(address: str) -> str:
    """`http`, `sqlite`, ...; of `postgresql+psycopg://` the part before the plus."""
    head, separator, _ = address.partition("://")
    return head.partition("+")[0].lower() if separator else ""


def is_web(address: str) -> bool:
    """Whether an MLflow server answers there."""
    return scheme(address) in WEB_SCHEMES


def sqlite_path(address: str) -> Path | None:
    """The absolute path of an SQLite database file, or None for other stores."""
    if scheme(address) != "sqlite":
        return None
    path = unquote(address.partition("://")[2].partition("?")[0].removeprefix("/"))
    if path in ("", ":memory:"):
        raise TrackingAddressRefused(
            "An SQLite database in memory cannot record a study: name a file, sqlite:///FILE."
        )
    return Path(path).resolve()


def sqlite_address(path: Path) -> str:
    """The address of an SQLite database; only what would be read as something else is escaped."""
    return f"sqlite:///{str(path).replace('%', '%25').replace('?', '%3F')}"
