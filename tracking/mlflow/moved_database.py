"""Moved database: the address of a database file whose folder was moved.

It is found without MLflow, whose import takes seconds.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

FILE = "sqlite:///"
"""How the address of a database file begins."""
DEFAULT = "sqlite:///mlflow.db"


def is_missing(address: str) -> bool:
    """Whether an address names a database file that does not exist."""
    return address.startswith(FILE) and not _path(address).exists()


def present_address(recorded: str, run_id: str | None, uri: str | None = None) -> str:
    """Address of the database with a run: as it was recorded or, where that file is gone, the one used here.

    `uri`: the address in use; None = MLFLOW_TRACKING_URI, or MLflow's own default.
    """
    used = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT
    if run_id is None or not is_missing(recorded) or not used.startswith(FILE):
        return recorded
    file = _path(used).resolve()
    return f"{FILE}{file}" if _has_run(file, run_id) else recorded


def _path(address: str) -> Path:
    return Path(unquote(address.removeprefix(FILE).partition("?")[0]))


def _has_run(file: Path, run_id: str) -> bool:
    """Whether a database holds the run; false for what is none of MLflow's. Nothing is made."""
    if not file.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            return (
                connection.execute("SELECT 1 FROM runs WHERE run_uuid = ?", (run_id,)).fetchone() is not None
            )
    except sqlite3.Error:
        return False
