"""MlflowTracker: studies and trials in MLflow, by explicit run ids."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from tracking.mlflow import database, location, model_download, models, registry, runs, server, settings
from tracking.mlflow.address import is_web, resolve
from tracking.mlflow.errors import translate_errors
from tracking.mlflow.run_writer import RunRecord
from tracking.mlflow.runs import MLFLOW_STATUS, NOTE_TAG, OUTCOME_TAG, REASON_TAG
from tracking.row import Row
from tracking.tracker import ModelFiles, RunInfo, RunStatus


class MlflowTracker:
    """Records to an MLflow server or database; may be used from several threads.

    `uri=None` is MLflow's own default: MLFLOW_TRACKING_URI, else `sqlite:///mlflow.db` in the working folder.
    """

    def __init__(self, uri: str | None = None) -> None:
        settings.apply()
        self.address = resolve(uri)
        self._client: MlflowClient | None = None
        self._connecting = threading.Lock()
        self._records: dict[str, RunRecord] = {}

    def check(self) -> None:
        """Reach the store within about a second; create MLflow's tables in an empty database, and correct the
        artifact locations in one whose folder was moved."""
        with translate_errors(self.address):
            if is_web(self.address):
                server.greet(self.address)
            else:
                database.prepare(self.address)
            location.correct(self.address)
        with self._mlflow() as client:
            client.search_experiments(max_results=1)

    def check_study(self, study: str) -> None:
        """Raise TrackingRefused where the study's experiment was deleted or its artifacts stayed elsewhere."""
        with self._mlflow() as client:
            runs.refuse_unusable(client, self.address, study)

    def open_run(self, info: RunInfo) -> str:
        """The id of the study's or trial's run: found by its tags, else created."""
        with self._mlflow() as client:
            run = runs.open_run(client, self.address, info)
            self._complete(client, run, info)
            return str(run.info.run_id)

    def has_run(self, run_id: str) -> bool:
        """Whether this store is the one with this run, deleted ones included."""
        with self._mlflow() as client:
            return runs.stage(client, run_id) is not None

    def running_trials(self, study: str, study_id: str = "") -> dict[str, int]:
        """The trials shown as running, run id to slot: those whose worker died are among them."""
        with self._mlflow() as client:
            return runs.running_trials(client, study, study_id)

    def resume_run(self, run_id: str) -> None:
        """Show a run as running again, where it had been ended."""
        with self._writing(run_id) as client:
            run = runs.get_active(client, run_id)
            if run.info.status != "RUNNING":
                client.update_run(run_id, status="RUNNING")
                tags, written = {OUTCOME_TAG: "running", REASON_TAG: ""}, run.data.tags
                has_reason = written.get(REASON_TAG) and written.get(REASON_TAG) == written.get(NOTE_TAG)
                self._record(client, run_id).write_tags(tags | ({NOTE_TAG: ""} if has_reason else {}))

    def complete_run(self, run_id: str, info: RunInfo) -> None:
        """Write what is missing of parameters, tags and documents."""
        with self._writing(run_id) as client:
            self._complete(client, runs.get_active(client, run_id), info)

    def discard_run(self, run_id: str) -> None:
        """Delete a run that lost the race to be its slot's; a deleted one is no error."""
        with self._mlflow() as client:
            if runs.stage(client, run_id) == "active":
                client.delete_run(run_id)

    def log_rows(self, run_id: str, rows: Sequence[Row]) -> None:
        """Send rows in as few batches as MLflow takes; identical rows count once."""
        with self._writing(run_id) as client:
            self._record(client, run_id).write_rows(rows)

    def steps_of(self, run_id: str, metric: str) -> set[int]:
        """The steps at which a run has a point of this metric."""
        with self._writing(run_id) as client:
            return {int(point.step) for point in client.get_metric_history(run_id, metric)}

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Write tags, new or changed."""
        with self._writing(run_id) as client:
            self._record(client, run_id).write_tags(tags)

    def upload(self, run_id: str, files: Mapping[str, Path]) -> None:
        """Store local files as artifacts: artifact path to file."""
        with self._writing(run_id) as client:
            folder = self._record(client, run_id).artifacts
            for artifact, file in files.items():
                folder.upload(artifact, file)

    def download(self, run_id: str, artifact: str, target: Path) -> None:
        """Fetch one artifact into the file `target`, atomically. Raises ArtifactMissing."""
        with self._mlflow() as client:
            self._record(client, run_id).artifacts.download(artifact, target)

    def delete(self, run_id: str, artifact: str) -> None:
        """Delete an artifact or a folder of them; absent ones are no error."""
        with self._mlflow() as client:
            self._record(client, run_id).artifacts.delete(artifact)

    def publish_model(self, run_id: str, name: str, model: ModelFiles) -> str:
        """Store a LoggedModel linked to the run, once per run and name; returns its `models:/` address."""
        with self._writing(run_id) as client:
            return models.publish(client, self.address, run_id, name, model)

    def register_champion(self, model_uri: str, name: str, card: str | None) -> str:
        """Make a published model the champion of a registered model; returns the champion's address."""
        with self._mlflow() as client:
            return registry.register(client, self.address, model_uri, name, card)

    def model_of(self, run_id: str) -> str | None:
        """Address of the model that a run has published, if it has."""
        with self._mlflow() as client:
            return model_download.model_of(client, run_id)

    def download_model(self, model_uri: str, folder: Path) -> Path:
        """Fetch a published model below `folder`; returns the policy folder in it."""
        with self._mlflow() as client:
            return model_download.download(client, self.address, model_uri, folder)

    def end_run(self, run_id: str, status: RunStatus, reason: str = "") -> None:
        """Close a run with its true status; ending it again in the same way changes nothing."""
        with self._writing(run_id) as client:
            run = runs.get_active(client, run_id)
            tags = {OUTCOME_TAG: status, REASON_TAG: reason}
            if run.info.status == MLFLOW_STATUS[status] and tags.items() <= run.data.tags.items():
                return
            self._record(client, run_id).write_tags({**tags, NOTE_TAG: reason} if reason else tags)
            client.set_terminated(run_id, MLFLOW_STATUS[status])

    def ui_address(self, run_id: str) -> str | None:
        """The run's page on an MLflow server; databases have none."""
        if not is_web(self.address):
            return None
        with self._mlflow() as client:
            return server.page(self.address, self._record(client, run_id).experiment_id, run_id)

    @contextmanager
    def _mlflow(self) -> Iterator[MlflowClient]:
        """The client, connected on first use, with its errors translated."""
        with translate_errors(self.address):
            yield self._connect()

    @contextmanager
    def _writing(self, run_id: str) -> Iterator[MlflowClient]:
        """The same, to write to a run. Raises RunDeleted."""
        with self._mlflow() as client, runs.detect_deletion(client, run_id):
            yield client

    def _connect(self) -> MlflowClient:
        with self._connecting:
            if self._client is None:
                if not is_web(self.address):
                    database.prepare(self.address)
                self._client = MlflowClient(self.address, registry_uri=self.address)
            return self._client

    def _record(self, client: MlflowClient, run_id: str) -> RunRecord:
        if run_id not in self._records:
            self._records[run_id] = RunRecord(client, client.get_run(run_id), self.address)
        return self._records[run_id]

    def _complete(self, client: MlflowClient, run: Run, info: RunInfo) -> None:
        record = self._record(client, str(run.info.run_id))
        written = run.data.tags
        record.write_params(info.params, run.data.params)
        record.write_tags({key: value for key, value in info.tags.items() if written.get(key) != value})
        record.write_documents(info.documents)
