"""What SQLite's result codes mean to a person, for every database in a file."""

import errno
import os
from dataclasses import dataclass


@dataclass(frozen=True)
class SqliteFault:
    """One kind of failure of a database file."""

    meaning: str
    """What happened, and what to do."""
    passes: bool
    """Whether the same statement may succeed later."""


FAULTS: dict[str, SqliteFault] = {
    "SQLITE_NOTADB": SqliteFault("the file is not an SQLite database; give another path", False),
    "SQLITE_CORRUPT": SqliteFault("the file is damaged; restore it from a copy", False),
    "SQLITE_READONLY": SqliteFault("the file cannot be written; check its permissions", False),
    "SQLITE_CANTOPEN": SqliteFault("the file cannot be opened; check the path and its permissions", False),
    "SQLITE_PERM": SqliteFault("the file cannot be opened; check its permissions", False),
    "SQLITE_BUSY": SqliteFault("another process holds the file; try again", True),
    "SQLITE_LOCKED": SqliteFault("another process holds the file; try again", True),
    "SQLITE_FULL": SqliteFault("the disk is full; free some space", False),
    "SQLITE_IOERR": SqliteFault("the disk reports an input/output error; check it", True),
}
"""By the beginning of a result code's name."""
NO_FILE_LEFT = SqliteFault("this process has too many open files; `ulimit -n 4096` allows more", False)
"""SQLite has no code of its own for it."""


def sqlite_fault(error: object) -> SqliteFault | None:
    """The fault that an error of the driver names; None for any other error."""
    name = str(getattr(error, "sqlite_errorname", ""))
    if name.startswith("SQLITE_CANTOPEN") and _is_no_file_left():
        return NO_FILE_LEFT
    return next((fault for code, fault in FAULTS.items() if name.startswith(code)), None)


def _is_no_file_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
