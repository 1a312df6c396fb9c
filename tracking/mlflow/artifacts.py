"""Artifacts: files that are stored, listed, fetched and deleted in one MLflow artifact store."""

import posixpath
import tempfile
from pathlib import Path
from typing import Protocol

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from tracking.errors import ArtifactMissing, TrackingError
from tracking.mlflow import location


class ArtifactStore(Protocol):
    """What is used of MLflow's artifact stores."""

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None: ...

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None: ...

    def list_artifacts(self, path: str | None) -> list[FileInfo]: ...

    def download_artifacts(self, artifact_path: str, dst_path: str) -> str: ...

    def delete_artifacts(self, artifact_path: str) -> None: ...


def open_store(artifact_uri: str, address: str) -> ArtifactStore:
    """MLflow's access to the artifacts at a location that the tracking store at `address` names."""
    store: ArtifactStore = get_artifact_repository(
        location.resolve(artifact_uri, address), tracking_uri=address
    )
    return store


class ArtifactFolder:
    """The artifacts of one run."""

    def __init__(self, artifact_uri: str, address: str) -> None:
        self._store = open_store(artifact_uri, address)
        self._where = location.where(artifact_uri, address)

    def upload(self, artifact: str, file: Path) -> None:
        """Store a file under an artifact path, whatever the file's own name."""
        if not file.is_file():
            raise TrackingError(f"There is no file {file} to store as {artifact!r}.")
        folder, name = posixpath.split(artifact)
        with tempfile.TemporaryDirectory(prefix="omad-upload-") as staging:
            link = Path(staging) / name
            link.symlink_to(file.resolve())
            self._store.log_artifact(str(link), folder or None)

    def write(self, artifact: str, content: bytes) -> None:
        """Store bytes under an artifact path."""
        with tempfile.TemporaryDirectory(prefix="omad-upload-") as staging:
            file = Path(staging) / "content"
            file.write_bytes(content)
            self.upload(artifact, file)

    def exists(self, artifact: str) -> bool:
        """Whether there is such a file or folder."""
        folder, name = posixpath.split(artifact.rstrip("/"))
        listed = self._store.list_artifacts(folder or None)
        return any(posixpath.basename(entry.path) == name for entry in listed)

    def download(self, artifact: str, target: Path) -> None:
        """Fetch one artifact into a file, which is there in whole or not at all."""
        if not self.exists(artifact):
            raise ArtifactMissing(f"The run has no artifact {artifact!r}: it is not in {self._where}.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as staging:
            fetched = self._store.download_artifacts(artifact, staging)
            Path(fetched).replace(target)

    def delete(self, artifact: str) -> None:
        """Delete a file or folder; absent ones are no error."""
        if self.exists(artifact):
            self._store.delete_artifacts(artifact)
