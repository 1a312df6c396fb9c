"""SQLite on a network file system is refused with what to do instead."""

import resource
from pathlib import Path

import pytest

from search.errors import StorageRefused
from search.storage import sqlite_file
from search.storage.store import open_storage


@pytest.mark.parametrize(
    ("kind", "found"), [("nfs4", "nfs4"), ("fuse.sshfs", "fuse.sshfs"), ("ext4", None), ("tmpfs", None)]
)
def test_the_innermost_mount_decides(tmp_path: Path, kind: str, found: str | None) -> None:
    table = tmp_path / "mounts"
    location = str(tmp_path / "a b").replace(" ", "\\040")
    table.write_text(
        f"/dev/sda / ext4 rw 0 0\nserver:/x {location} {kind} rw 0 0\nlustre /elsewhere lustre rw 0 0\n"
    )
    assert sqlite_file.network_type(tmp_path / "a b" / "omad.db", table) == found
    assert sqlite_file.network_type(tmp_path / "omad.db", table) is None


def test_sqlite_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.storage.sqlite_file.network_type", lambda path: "nfs4")
    with pytest.raises(StorageRefused, match=r"nfs4.*PostgreSQL"):
        open_storage(f"sqlite:///{tmp_path}/omad.db", create=True)
    assert not list(tmp_path.iterdir())


def test_a_process_with_too_many_open_files_is_told_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/omad.db"
    with open_storage(url, create=True):
        pass
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with (tmp_path / "next").open("w") as file:
        following = file.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (following, hard))
    try:
        with pytest.raises(StorageRefused, match="too many open files; `ulimit -n 4096` allows more"):
            open_storage(url)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
