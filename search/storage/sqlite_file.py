"""The file of an SQLite storage: where it may lie, told before it is opened."""

from pathlib import Path

from sqlalchemy.engine import URL

from search.errors import StorageEmpty, StorageRefused
from search.storage.mounts import network_type
from search.storage.urls import redacted_url


def check(url: URL, create: bool) -> None:
    """Raise StorageRefused unless a storage can lie there; without `create`, StorageEmpty where there is none."""
    shown = redacted_url(url)
    if not url.database or url.database == ":memory:":
        raise StorageRefused(
            f"storage {shown} lives in the memory of one process; give a file, such as sqlite:///omad.db"
        )
    if url.database.startswith("file:"):
        raise StorageRefused(f"storage {shown}: SQLite's file: form is not supported; give a plain path")
    path = Path(url.database)
    if not path.parent.is_dir():
        raise StorageRefused(f"storage {shown}: there is no folder {path.parent.resolve()}; create it first")
    if path.is_dir():
        raise StorageRefused(f"storage {shown} is a folder; give a file in it, such as {path / 'omad.db'}")
    if kind := network_type(path):
        raise StorageRefused(
            f"storage {shown} lies on a network file system ({kind}), where SQLite loses writes; give a path on a "
            "local disk, or PostgreSQL: postgresql://user@host/database"
        )
    if not create and not path.exists():
        raise StorageEmpty(f"storage {shown}: there is no such file; `omad-search run` creates one")
