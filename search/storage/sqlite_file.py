"""The file of an SQLite storage: where it may lie, checked before it is opened."""

from pathlib import Path

from sqlalchemy.engine import URL

from search.errors import AddressRefused, StorageEmpty, StorageRefused
from search.storage.urls import redact_url

NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ncpfs",
    "afs",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "glusterfs",
}
NETWORK |= {"9p", "pvfs2", "orangefs"}
NETWORK |= {f"fuse.{name}" for name in ("sshfs", "glusterfs", "ceph", "s3fs", "rclone", "gcsfuse")}
"""Types of file systems of the network, where SQLite's locks cannot be trusted."""
TABLE = Path("/proc/mounts")


def check(url: URL, create: bool) -> None:
    """Raise StorageRefused unless a storage can lie there; without `create`, StorageEmpty where there is none."""
    shown = redact_url(url)
    if not url.database or url.database == ":memory:":
        raise AddressRefused(
            f"storage {shown} lives in the memory of one process; give a file, such as sqlite:///omad.db"
        )
    if url.database.startswith("file:"):
        raise AddressRefused(f"storage {shown}: SQLite's file: form is not supported; give a plain path")
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


def network_type(path: Path, table: Path = TABLE) -> str | None:
    """The type of the network file system that holds a path; None for a local one, or where it cannot be known."""
    try:
        lines = table.read_text().splitlines()
    except OSError:
        return None
    mounts = [(Path(_plain(fields[1])), fields[2]) for line in lines if len(fields := line.split()) > 2]
    holding = [mount for mount in mounts if path.resolve().is_relative_to(mount[0])]
    # Of several on the same place the last was mounted over the others.
    kind = max(reversed(holding), key=lambda mount: len(mount[0].parts), default=(path, ""))[1]
    return kind if kind in NETWORK else None


def _plain(field: str) -> str:
    """A mount point as it is: the table writes blanks as octal numbers."""
    return field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
