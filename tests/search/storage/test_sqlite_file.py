"""SQLite on a network file system is refused with what to do instead."""

from pathlib import Path

import pytest

from search.errors import StorageRefused
from search.storage import mounts
from search.storage.store import open_storage


@pytest.mark.parametrize(
    ("kind", "found"), [("nfs4", "nfs4"), ("fuse.sshfs", "fuse.sshfs"), ("ext4", None), ("tmpfs", None)]
)
def test_the_innermost_mount_decides(tmp_path: Path, kind: str, found: str | None) -> None:
    table = tmp_path / "mounts"
    place = str(tmp_path / "a b").replace(" ", "\\040")
    table.write_text(
        f"/dev/sda / ext4 rw 0 0\nserver:/x {place} {kind} rw 0 0\nlustre /elsewhere lustre rw 0 0\n"
    )
    assert mounts.network_type(tmp_path / "a b" / "omad.db", table) == found
    assert mounts.network_type(tmp_path / "omad.db", table) is None


def test_sqlite_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.storage.sqlite_file.network_type", lambda path: "nfs4")
    with pytest.raises(StorageRefused, match=r"nfs4.*PostgreSQL"):
        open_storage(f"sqlite:///{tmp_path}/omad.db", create=True)
    assert not list(tmp_path.iterdir())
