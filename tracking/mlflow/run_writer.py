"""RunRecord: one run in MLflow; every write can be repeated."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException

from tracking.mlflow import batches, names
from tracking.mlflow.address import sqlite_path
from tracking.mlflow.artifacts import ArtifactFolder
from tracking.mlflow.names import Entry
from tracking.mlflow.sqlite_points import DirectPoints
from tracking.row import Row

CLASH = "BAD_REQUEST"
"""What MLflow answers when its database refuses a row that is there; what it refuses itself has other codes."""
CLASHES = 8


class RunRecord:
    """A run's parameters, tags, documents and metrics; what MLflow cannot take is kept beside as artifacts."""

    def __init__(self, client: MlflowClient, run: Run, address: str) -> None:
        self._client = client
        self.run_id = str(run.info.run_id)
        self.experiment_id = str(run.info.experiment_id)
        self.artifacts = ArtifactFolder(str(run.info.artifact_uri), address)
        self._known_metrics: set[str] = set()
        path = sqlite_path(address)
        self._direct = None if path is None else DirectPoints(path)

    def write_params(self, params: Mapping[str, Any], written: Mapping[str, str]) -> None:
        """Write the parameters that are missing; those written before cannot change."""
        entries = names.entries(params, names.LONGEST_PARAM)
        missing = [entry for entry in entries if entry.name not in written]
        self._keep_originals("params", missing)
        for batch in batches.params(missing):
            self._client.log_batch(self.run_id, params=batch)

    def write_tags(self, tags: Mapping[str, str]) -> None:
        """Write tags, new or changed."""
        entries = names.entries(tags, names.LONGEST_TAG)
        self._keep_originals("tags", entries)
        for batch in batches.tags(entries):
            self._client.log_batch(self.run_id, tags=batch)

    def write_documents(self, documents: Mapping[str, Any]) -> None:
        """Store the JSON documents that are missing."""
        for artifact, content in documents.items():
            if not self.artifacts.exists(artifact):
                self.artifacts.write(artifact, json.dumps(content, indent=2, default=str).encode())

    def write_rows(self, rows: Sequence[Row]) -> None:
        """Write metrics; MLflow drops those it has."""
        self._keep_metric_names({name for row in rows for name in row.metrics})
        if self._direct is not None and self._direct.write(self.run_id, rows):
            return
        for batch in batches.metrics(rows):
            self._write_batch(batch)

    def _write_batch(self, batch: Sequence[Metric]) -> None:
        """Write a batch, again where another sender wrote the same points between two queries of MLflow."""
        for attempt in range(1, CLASHES + 1):
            try:
                self._client.log_batch(self.run_id, metrics=batch)
            except MlflowException as error:
                if error.error_code != CLASH or attempt == CLASHES:
                    raise
            else:
                return

    def _keep_originals(self, kind: str, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.original is not None:
                name, value = entry.original
                self._keep(kind, entry.name, {"name": name, "value": value})

    def _keep_metric_names(self, metrics: set[str]) -> None:
        for name in metrics - self._known_metrics:
            stored = names.safe_name(name)
            if stored != name:
                self._keep("metrics", stored, {"name": name})
        self._known_metrics |= metrics

    def _keep(self, kind: str, stored_name: str, original: Mapping[str, str]) -> None:
        content = json.dumps({"stored_as": stored_name, **original}, indent=2)
        artifact = f"originals/{kind}/{names.file_name(stored_name)}.json"
        self.artifacts.write(artifact, content.encode())
