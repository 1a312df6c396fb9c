"""Runs of a study in MLflow: one experiment, a parent run, a child run a trial; found again by their tags."""

import getpass
import time
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from tracking.errors import TrackingRefused
from tracking.mlflow_address import sqlite_path
from tracking.mlflow_names import model_name
from tracking.tracker import RunInfo, RunStatus

STUDY_TAG = "omad.study"
STUDY_ID_TAG = "omad.study_id"
SLOT_TAG = "omad.slot"
COURSE_TAG = "omad.course"
ROLE_TAG = "omad.role"
NOTE_TAG = "mlflow.note.content"
"""What the run's page shows as its description."""
AWAIT_SECONDS = 1.0
"""How long others wait for the run of who made a study's experiment."""
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""What MLflow's UI calls an experiment of trainings."""
OUTCOME_TAG = "omad.outcome"
REASON_TAG = "omad.reason"
MLFLOW_STATUS: dict[RunStatus, str] = {
    "finished": "FINISHED",
    "failed": "FAILED",
    "pruned": "KILLED",
    "killed": "KILLED",
}
"""MLflow has no word for pruned: such a run was stopped before its end, and its tag says why."""


def experiment_id(client: MlflowClient, address: str, study: str) -> tuple[str, bool]:
    """The experiment named after the study, created where there is none; whether it was created here and now."""
    found = client.get_experiment_by_name(study)
    if found is None:
        try:
            place = _artifact_location(address, study)
            tags = dict(EXPERIMENT_TAGS)
            return str(client.create_experiment(study, artifact_location=place, tags=tags)), True
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(study)  # another worker was faster
    if found is None or found.lifecycle_stage != "active":
        raise TrackingRefused(
            f"The MLflow experiment {study!r} was deleted: restore it in the MLflow UI, "
            "or give the study another name."
        )
    return str(found.experiment_id), False


def open_run(client: MlflowClient, address: str, info: RunInfo) -> Run:
    """The study's or trial's run, found or created.

    Many open a study's run at the same moment, and MLflow knows no uniqueness but that of experiments: who made the
    experiment makes the run, and the others wait for it a little.
    """
    experiment, new = experiment_id(client, address, info.study)
    found = find(client, experiment, info)
    end = time.monotonic() + (AWAIT_SECONDS if info.slot is None and not new else 0.0)
    while found is None and time.monotonic() < end:
        time.sleep(AWAIT_SECONDS / 10)
        found = find(client, experiment, info)
    return found or create(client, experiment, info)


def find(client: MlflowClient, experiment: str, info: RunInfo) -> Run | None:
    """The oldest run with the tags of this study or trial."""
    found = client.search_runs([experiment], _filter(info), order_by=["attributes.start_time ASC"])
    tags = _identity(info)
    same = [run for run in found if tags.items() <= run.data.tags.items()]
    return min(same, key=lambda run: (run.info.start_time, run.info.run_id), default=None)


def exists(client: MlflowClient, run_id: str) -> bool:
    """Whether there is a run of this id; ids are random, so no other store has one."""
    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


def create(client: MlflowClient, experiment: str, info: RunInfo) -> Run:
    """A new run; of several made at the same time for one trial the oldest stays."""
    tags = {**_identity(info), OUTCOME_TAG: "running", "mlflow.user": _user()}
    if info.parent_run_id is not None:
        tags["mlflow.parentRunId"] = info.parent_run_id
    own = client.create_run(experiment, run_name=info.name, tags=tags)
    winner = find(client, experiment, info) or own
    if winner.info.run_id != own.info.run_id:
        client.delete_run(own.info.run_id)
    return winner


def running_trials(client: MlflowClient, study: str, study_id: str) -> dict[str, int]:
    """The study's trials that are shown as running, run id to slot."""
    found = client.get_experiment_by_name(study)
    if found is None:
        return {}
    wanted = _identity(RunInfo(name="", study=study, study_id=study_id))
    wanted[ROLE_TAG] = "trial"
    query = f"attributes.status = 'RUNNING' and tags.`{ROLE_TAG}` = 'trial'"
    running: dict[str, int] = {}
    token = None
    while True:
        page = client.search_runs([found.experiment_id], query, page_token=token)
        for run in page:
            if wanted.items() <= run.data.tags.items():
                running[str(run.info.run_id)] = int(run.data.tags[SLOT_TAG])
        token = page.token
        if not token:
            return running


def _identity(info: RunInfo) -> dict[str, str]:
    tags = {STUDY_TAG: info.study, ROLE_TAG: "study" if info.slot is None else "trial"}
    if info.study_id:
        tags[STUDY_ID_TAG] = info.study_id
    if info.slot is not None:
        tags[SLOT_TAG] = str(info.slot)
    if info.course:
        tags[COURSE_TAG] = info.course
    return tags


def _filter(info: RunInfo) -> str:
    """Only words of our own: a study's name may hold quotes, so it is compared here instead."""
    if info.slot is None:
        return f"tags.`{ROLE_TAG}` = 'study'"
    return f"tags.`{ROLE_TAG}` = 'trial' and tags.`{SLOT_TAG}` = '{int(info.slot)}'"


def _artifact_location(address: str, study: str) -> str | None:
    """Beside an SQLite database, wherever the worker runs; elsewhere as MLflow has it."""
    path = sqlite_path(address)
    return None if path is None else Path(path.parent, "mlruns", model_name(study)).as_uri()


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # no such user in a container
        return "unknown"
