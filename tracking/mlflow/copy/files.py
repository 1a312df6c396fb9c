"""Copying artifacts from one MLflow store to another, a file at a time."""

import posixpath
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from tracking.mlflow_errors import translated


@dataclass(frozen=True)
class Tree:
    """The artifacts below one address."""

    uri: str
    address: str
    """Of the MLflow store that has them."""

    @property
    def store(self) -> Any:
        """MLflow's own access to them."""
        return get_artifact_repository(self.uri, tracking_uri=self.address)


def copy_tree(old: Tree, new: Tree, change: Callable[[Path], None] = lambda path: None) -> None:
    """Make the new tree what the old one is; `change` may edit each file on its way."""
    with translated(old.address):
        source, wanted = old.store, list(_files(old.store))
    with translated(new.address):
        target = new.store
        for path in set(_files(target)) - set(wanted):
            target.delete_artifacts(path)
    for path in wanted:
        with tempfile.TemporaryDirectory(prefix="omad-copy-") as folder:
            with translated(old.address):
                file = Path(source.download_artifacts(path, folder))
            change(file)
            with translated(new.address):
                target.log_artifact(str(file), posixpath.dirname(path) or None)


def _files(store: Any, folder: str | None = None) -> Iterator[str]:
    for entry in store.list_artifacts(folder):
        if entry.is_dir:
            yield from _files(store, entry.path)
        else:
            yield str(entry.path)
