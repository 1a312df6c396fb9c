"""Mounts: whether a file lies on a file system of the network, where SQLite's locks cannot be trusted."""

from pathlib import Path

NETWORK = {
    *(
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
        "9p",
    ),
    *(
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.ceph",
        "fuse.s3fs",
        "fuse.rclone",
        "fuse.gcsfuse",
        "pvfs2",
        "orangefs",
    ),
}
TABLE = Path("/proc/mounts")


def network_type(path: Path, table: Path = TABLE) -> str | None:
    """The type of the network file system that holds a path; None for a local one, or where nobody can tell."""
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
