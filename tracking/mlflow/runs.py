"""Runs of a study in MLflow: one experiment, a parent run, a child run a trial; found again by their tags."""

import getpass
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException

from tracking.errors import RunDeleted, TrackingRefused, TrackingUnavailable
from tracking.mlflow.location import default_location, refuse_outside
from tracking.redaction import redact
from tracking.tracker import RunInfo, RunStatus

STUDY_TAG = "omad.study"
STUDY_ID_TAG = "omad.study_id"
SLOT_TAG = "omad.slot"
GENERATION_TAG = "omad.course"
ROLE_TAG = "omad.role"
PARENT_TAG = "mlflow.parentRunId"
NOTE_TAG = "mlflow.note.content"
"""What the run's page shows as its description."""
PAGE = 1_000
DELETED_CODES = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
"""What MLflow answers where a run was deleted, and where it was deleted for good; among other things."""
AWAIT_SECONDS = 1.0
"""How long other workers wait for the study's run of the one that created the experiment."""
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
    experiment = client.get_experiment_by_name(study)
    if experiment is None:
        try:
            location = default_location(address, study)
            tags = dict(EXPERIMENT_TAGS)
            return str(client.create_experiment(study, artifact_location=location, tags=tags)), True
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(study)  # another worker was faster
    if experiment is None:
        raise TrackingUnavailable(f"Another worker deletes the MLflow experiment {study!r} at this moment.")
    _refuse_unusable(experiment, address)
    return str(experiment.experiment_id), False


def refuse_unusable(client: MlflowClient, address: str, study: str) -> None:
    """Raise TrackingRefused where the study's experiment exists and nothing can be recorded in it."""
    experiment = client.get_experiment_by_name(study)
    if experiment is not None:
        _refuse_unusable(experiment, address)


def _refuse_unusable(experiment: Experiment, address: str) -> None:
    if experiment.lifecycle_stage != "active":
        command = f"mlflow experiments restore -x {experiment.experiment_id}"
        raise TrackingRefused(
            f"The MLflow experiment {experiment.name!r} was deleted. Restore it, with its runs: "
            f"MLFLOW_TRACKING_URI={shlex.quote(redact(address))} {command}. "
            "Or give the study another name with --study."
        )
    refuse_outside(str(experiment.name), str(experiment.artifact_location), address)


def open_run(client: MlflowClient, address: str, info: RunInfo) -> Run:
    """The study's or trial's run, found or created.

    Many workers open a study's run at the same moment, and MLflow ensures uniqueness of experiments alone: the worker
    that created the experiment creates the run, and the others wait for it a little.
    """
    experiment, new = experiment_id(client, address, info.study)
    run = find(client, experiment, info)
    end = time.monotonic() + (AWAIT_SECONDS if info.slot is None and not new else 0.0)
    while run is None and time.monotonic() < end:
        time.sleep(AWAIT_SECONDS / 10)
        run = find(client, experiment, info)
    return run or create(client, experiment, info)


def find(client: MlflowClient, experiment: str, info: RunInfo) -> Run | None:
    """The oldest run with the tags of this study or trial."""
    runs = client.search_runs([experiment], _filter(info), order_by=["attributes.start_time ASC"])
    tags = _identity(info)
    same = [run for run in runs if tags.items() <= run.data.tags.items()]
    return min(same, key=lambda run: (run.info.start_time, run.info.run_id), default=None)


def _run_of_study(client: MlflowClient, experiment: str, info: RunInfo) -> str | None:
    """The own run of the study that a run's parent is, where one is named."""
    if not info.parent_study_id:
        return None
    run = find(client, experiment, RunInfo(name="", study=info.study, study_id=info.parent_study_id))
    return None if run is None else str(run.info.run_id)


def stage(client: MlflowClient, run_id: str) -> str | None:
    """`active` or `deleted`; None where there is no run of this id. Ids are random, so no other store has one."""
    try:
        return str(client.get_run(run_id).info.lifecycle_stage)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


@contextmanager
def detect_deletion(client: MlflowClient, run_id: str) -> Iterator[None]:
    """Raise RunDeleted for what MLflow refuses because the run was deleted; it has no error of its own for that."""
    try:
        yield
    except MlflowException as error:
        if error.error_code not in DELETED_CODES or stage(client, run_id) == "active":
            raise
        raise RunDeleted(f"The run {run_id} was deleted in MLflow.") from error


def get_active(client: MlflowClient, run_id: str) -> Run:
    """A run that may be written to. Raises RunDeleted."""
    with detect_deletion(client, run_id):
        run = client.get_run(run_id)
    if run.info.lifecycle_stage != "active":
        raise RunDeleted(f"The run {run_id} was deleted in MLflow.")
    return run


def create(client: MlflowClient, experiment: str, info: RunInfo) -> Run:
    """A new run; of several made at the same time for one trial the oldest stays."""
    tags = {**_identity(info), OUTCOME_TAG: "running", "mlflow.user": _user()}
    if (parent := info.parent_run_id or _run_of_study(client, experiment, info)) is not None:
        tags[PARENT_TAG] = parent
    run = client.create_run(experiment, run_name=info.name, tags=tags)
    winner = find(client, experiment, info) or run
    if winner.info.run_id != run.info.run_id:
        client.delete_run(run.info.run_id)
    elif info.slot is None:
        _adopt_trials(client, experiment, info, str(run.info.run_id))
    return winner


def _adopt_trials(client: MlflowClient, experiment: str, info: RunInfo, run_id: str) -> None:
    """Show a study's trials below its new run, where the one they were below was deleted."""
    study = _identity(info) | {ROLE_TAG: "trial"}
    for run in search(client, experiment, f"tags.`{ROLE_TAG}` = 'trial'"):
        if study.items() <= run.data.tags.items():
            client.set_tag(run.info.run_id, PARENT_TAG, run_id)


def running_trials(client: MlflowClient, study: str, study_id: str) -> dict[str, int]:
    """The study's trials that are shown as running, run id to slot."""
    experiment = client.get_experiment_by_name(study)
    if experiment is None:
        return {}
    identity = _identity(RunInfo(name="", study=study, study_id=study_id))
    identity[ROLE_TAG] = "trial"
    query = f"attributes.status = 'RUNNING' and tags.`{ROLE_TAG}` = 'trial'"
    return {
        str(run.info.run_id): int(run.data.tags[SLOT_TAG])
        for run in search(client, str(experiment.experiment_id), query)
        if identity.items() <= run.data.tags.items()
    }


def search(client: MlflowClient, experiment: str, query: str = "") -> Iterator[Run]:
    """All active runs of an experiment that a query finds, a page at a time."""
    token = None
    while True:
        page = client.search_runs([experiment], query, max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _identity(info: RunInfo) -> dict[str, str]:
    tags = {STUDY_TAG: info.study, ROLE_TAG: "study" if info.slot is None else "trial"}
    if info.study_id:
        tags[STUDY_ID_TAG] = info.study_id
    if info.slot is not None:
        tags[SLOT_TAG] = str(info.slot)
    if info.generation:
        tags[GENERATION_TAG] = info.generation
    return tags


def _filter(info: RunInfo) -> str:
    """Only words of our own: a study's name may hold quotes, so it is compared here instead."""
    if info.slot is None:
        return f"tags.`{ROLE_TAG}` = 'study'"
    return f"tags.`{ROLE_TAG}` = 'trial' and tags.`{SLOT_TAG}` = '{int(info.slot)}'"


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # no such user in a container
        return "unknown"
