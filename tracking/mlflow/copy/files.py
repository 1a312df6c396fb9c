"""Copying artifacts from one MLflow store to another, a file at a time."""

import posixpath
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tracking.mlflow.artifacts import ArtifactStore, open_store
from tracking.mlflow.errors import translate_errors


@dataclass(frozen=True)
class Tree:
    """The artifacts below one address."""

    uri: str
    address: str
    """Of the MLflow store that has them."""

    @property
    def store(self) -> ArtifactStore:
        """MLflow's access to them."""
        return open_store(self.uri, self.address)


def copy_tree(old: Tree, new: Tree, change: Callable[[Path], None] = lambda path: None) -> None:
    """Make the new tree what the old one is; `change` may edit each file on its way."""
    with translate_errors(old.address):
        source, sources = old.store, list(_files(old.store))
    with translate_errors(new.address):
        target = new.store
        for path in set(_files(target)) - set(sources):
            target.delete_artifacts(path)
    for path in sources:
        with tempfile.TemporaryDirectory(prefix="omad-copy-") as folder:
            with translate_errors(old.address):
                file = Path(source.download_artifacts(path, folder))
            change(file)
            with translate_errors(new.address):
                target.log_artifact(str(file), posixpath.dirname(path) or None)


def _files(store: ArtifactStore, folder: str | None = None) -> Iterator[str]:
    for entry in store.list_artifacts(folder):
        if entry.is_dir:
            yield from _files(store, entry.path)
        else:
            yield str(entry.path)
