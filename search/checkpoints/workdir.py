"""Workdir: the folder in which a machine keeps what its workers train, until it is published."""

import os
import shutil
import socket
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from search.errors import UnfitMachine

DEFAULT = ".omad"


@dataclass(frozen=True)
class Workdir:
    """A folder of this machine; workers on one machine share it, other machines have their own."""

    root: Path

    @property
    def name(self) -> str:
        """Identifies this folder among those of all machines."""
        return f"{socket.gethostname()}:{self.root.resolve()}"

    def study(self, study: str, uid: str) -> Path:
        """Folder of a study; the uid distinguishes it from an earlier study of the same name."""
        return self.root / f"{study}-{uid[:8]}"

    def slot(self, study: str, uid: str, number: int) -> Path:
        """Folder of a slot, with a folder below it for each lease: a late worker writes beside its successor."""
        return self.study(study, uid) / f"slot-{number:05d}"

    def logs(self, study: str, uid: str) -> Path:
        """Folder of the workers' log files."""
        return self.study(study, uid) / "logs"

    def check(self) -> None:
        """Write there, and leave nothing behind. Raises UnfitMachine where that is impossible."""
        try:
            try_writing(self.root)
        except OSError as error:
            raise UnfitMachine(
                f"nothing can be written to {self.root}, where workers keep checkpoints and logs: "
                f"{error.strerror}; set OMAD_HOME to another folder"
            ) from error


def try_writing(folder: Path) -> None:
    """Write to a folder, which may still have to be made, and leave nothing behind. Raises OSError."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    finally:
        for path in made:
            with suppress(OSError):  # it was not made, or another command uses it meanwhile
                path.rmdir()


def lease_folder(token: int) -> str:
    """Folder of one lease below its slot's."""
    return f"lease-{token:05d}"


def open_workdir(path: str | None = None) -> Workdir:
    """The folder given, or named by OMAD_HOME, or `.omad` in the working folder."""
    return Workdir(Path(path or os.environ.get("OMAD_HOME") or DEFAULT))


def remove(folder: Path) -> None:
    """Delete a folder and what is in it; absent is no error."""
    shutil.rmtree(folder, ignore_errors=True)
