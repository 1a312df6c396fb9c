"""Copying a study's runs to another MLflow store: parameters, tags, curves and artifacts, as often as need be."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Param, Run, RunTag

from tracking.errors import TrackingRefused
from tracking.mlflow import batches
from tracking.mlflow.copy.files import Tree, copy_tree
from tracking.mlflow.errors import translate_errors
from tracking.mlflow.runs import PARENT_TAG, ROLE_TAG, STUDY_ID_TAG, experiment_id, search, stage
from tracking.redaction import redact

COPY_TAG = "omad.copy_of"
"""Of a copied run or model: its id in the store it comes from."""
SERVER_TAGS = ("mlflow.runName", "mlflow.rootRunId")
"""Tags that the other store writes by itself."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class End:
    """One of the two stores; its errors name its own address."""

    address: str
    client: MlflowClient

    @contextmanager
    def connect(self) -> Iterator[MlflowClient]:
        """The client, whose errors name this store."""
        with translate_errors(self.address):
            yield self.client


def runs_of(end: End, study: str, study_ids: Sequence[str]) -> list[Run]:
    """All runs of some studies of one experiment, a parent before its children."""
    with end.connect() as client:
        experiment = client.get_experiment_by_name(study)
        runs = [] if experiment is None else list(search(client, experiment.experiment_id))
    selected = [run for run in runs if run.data.tags.get(STUDY_ID_TAG) in study_ids]
    studies = [run for run in selected if run.data.tags.get(ROLE_TAG) == "study"]
    trials = [run for run in selected if run not in studies]
    first = sorted(studies, key=lambda run: (PARENT_TAG in run.data.tags, run.info.start_time))
    return [*first, *sorted(trials, key=lambda run: run.info.start_time)]


def copy_runs(old: End, new: End, study: str, runs: Sequence[Run]) -> dict[str, str]:
    """Make the other store's runs what these are; old id to new id. Copies of runs that are gone are deleted."""
    with new.connect() as client:
        experiment, _ = experiment_id(client, new.address, study)
        copies = {
            run.data.tags[COPY_TAG]: run for run in search(client, experiment) if COPY_TAG in run.data.tags
        }
    ids: dict[str, str] = {}
    for count, run in enumerate(runs, start=1):
        log.info("run %d of %d: %s", count, len(runs), run.info.run_name)
        ids[run.info.run_id] = _copy_run(old, new, run, experiment, copies.get(run.info.run_id), ids)
    uids = {run.data.tags[STUDY_ID_TAG] for run in runs}
    with new.connect() as client:
        for source, copy in copies.items():
            if source not in ids and copy.data.tags.get(STUDY_ID_TAG) in uids:
                client.delete_run(copy.info.run_id)
    return ids


def finish_runs(new: End, runs: Sequence[Run], ids: Mapping[str, str], models: Mapping[str, str]) -> None:
    """Give the copies their tags, with the models' new addresses, and their status: the last step of a run."""
    with new.connect() as client:
        for run in runs:
            copy = ids[run.info.run_id]
            tags = _tags(run, ids, models)
            client.log_batch(copy, tags=[RunTag(key, value) for key, value in tags.items()])
            if run.info.status == "RUNNING":
                client.update_run(copy, status="RUNNING")
            else:
                client.set_terminated(copy, run.info.status, run.info.end_time)


def refuse_others(old: End, runs: Sequence[Run], needed: Sequence[str]) -> None:
    """Raise TrackingRefused where a run that a study needs was never in this store; deleted ones are left out."""
    known = {run.info.run_id for run in runs}
    with old.connect() as client:
        absent = {run_id: stage(client, run_id) for run_id in needed if run_id not in known}
    if missing := [run_id for run_id, where in absent.items() if where is None]:
        raise TrackingRefused(
            f"of the study's runs {len(missing)} of {len(needed)} are missing in {redact(old.address)}, such as "
            f"{missing[0]}: give the tracking address that the study uses now with --from-tracking"
        )


def _copy_run(
    old: End, new: End, run: Run, experiment: str, existing: Run | None, ids: Mapping[str, str]
) -> str:
    with new.connect() as client:
        copy = existing or client.create_run(
            experiment,
            start_time=run.info.start_time,
            run_name=run.info.run_name,
            tags=_tags(run, ids, {}),
        )
        missing = [Param(key, value) for key, value in run.data.params.items() if key not in copy.data.params]
        for start in range(0, len(missing), batches.ENTRIES_PER_BATCH):
            batch = missing[start : start + batches.ENTRIES_PER_BATCH]
            client.log_batch(copy.info.run_id, params=batch)
    _copy_metrics(old, new, run, copy.info.run_id)
    copy_tree(Tree(str(run.info.artifact_uri), old.address), Tree(str(copy.info.artifact_uri), new.address))
    return str(copy.info.run_id)


def _copy_metrics(old: End, new: End, run: Run, copy: str) -> None:
    """Whole histories, with their times; MLflow drops the points it has."""
    for name in run.data.metrics:
        with old.connect() as client:
            points = client.get_metric_history(run.info.run_id, name)
        with new.connect() as client:
            for batch in batches.of_metrics(points):
                client.log_batch(copy, metrics=batch)


def _tags(run: Run, ids: Mapping[str, str], models: Mapping[str, str]) -> dict[str, str]:
    """The run's tags in the other store: whose copy it is, whose child, and where its model lies."""
    tags = {key: value for key, value in run.data.tags.items() if key not in SERVER_TAGS}
    if PARENT_TAG in tags:
        tags[PARENT_TAG] = ids.get(tags[PARENT_TAG], tags[PARENT_TAG])
    for source, copy in models.items():
        tags = {key: value.replace(source, copy) for key, value in tags.items()}
    return tags | {COPY_TAG: run.info.run_id}
