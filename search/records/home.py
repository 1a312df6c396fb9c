"""Home: where a machine keeps what its workers train, until it is published."""

import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

DEFAULT = ".omad"


@dataclass(frozen=True)
class Home:
    """A folder of this machine; workers on one machine share it, other machines have their own."""

    root: Path

    @property
    def name(self) -> str:
        """Tells this folder from those of other machines."""
        return f"{socket.gethostname()}:{self.root.resolve()}"

    def study(self, study: str, uid: str) -> Path:
        """Folder of a study; the uid tells it from an earlier one of the same name."""
        return self.root / f"{study}-{uid[:8]}"

    def slot(self, study: str, uid: str, number: int) -> Path:
        """Folder of a slot, with one folder below it for each lease: a zombie writes beside its successor."""
        return self.study(study, uid) / f"slot-{number:05d}"

    def logs(self, study: str, uid: str) -> Path:
        """Folder of the workers' log files."""
        return self.study(study, uid) / "logs"


def lease_folder(token: int) -> str:
    """Folder of one lease below its slot's."""
    return f"lease-{token:05d}"


def open_home(path: str | None = None) -> Home:
    """The home given, or named by OMAD_HOME, or `.omad` in the working folder."""
    return Home(Path(path or os.environ.get("OMAD_HOME") or DEFAULT))


def remove(folder: Path) -> None:
    """Delete a folder and what is in it; absent is no error."""
    shutil.rmtree(folder, ignore_errors=True)
