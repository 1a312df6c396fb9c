"""Copying a study's published models to another MLflow store, and which of them is the champion."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, Metric, Run
from mlflow.exceptions import MlflowException

from tracking.mlflow import batches, registry
from tracking.mlflow.copy.files import Tree, copy_tree
from tracking.mlflow.copy.runs import COPY_TAG, End
from tracking.mlflow.names import model_name

DESCRIPTION = "MLmodel"
"""The file of a model that names its model and its run."""


def copy_models(old: End, new: End, runs: Sequence[Run], ids: Mapping[str, str]) -> dict[str, str]:
    """Copy every finished model of these runs; old id to new id."""
    if not runs:
        return {}
    with old.connect() as client:
        models = [m for m in _models(client, runs[0].info.experiment_id) if m.source_run_id in ids]
    with new.connect() as client:
        experiment = client.get_run(ids[runs[0].info.run_id]).info.experiment_id
        copies = {m.tags[COPY_TAG]: m for m in _models(client, experiment) if COPY_TAG in m.tags}
    by_id = {run.info.run_id: run for run in runs}
    ready = [model for model in models if str(model.status) == "READY"]
    return {
        m.model_id: _copy(old, new, m, by_id[str(m.source_run_id)], ids, copies.get(m.model_id), experiment)
        for m in ready
    }


def copy_registered(old: End, new: End, name: str, models: Mapping[str, str]) -> None:
    """Register the models again that were registered, the champion last."""
    name = model_name(name)
    with old.connect() as client:
        versions = sorted(client.search_model_versions(f"name = '{name}'"), key=lambda v: int(v.version))
        champion = _champion(client, name)
    registered = {str(v.tags.get(registry.MODEL_TAG)): v for v in versions}
    order = sorted(registered, key=lambda model: str(registered[model].version) == champion)
    with new.connect() as client:
        for model in order:
            if model in models:
                card = registered[model].description or ""
                uri = f"models:/{models[model]}"
                registry.register(client, new.address, uri, name, card)


def _copy(
    old: End,
    new: End,
    model: LoggedModel,
    run: Run,
    ids: Mapping[str, str],
    existing: LoggedModel | None,
    experiment: str,
) -> str:
    """One model, READY when it is whole."""
    run_id = ids[run.info.run_id]
    with new.connect() as client:
        copy = existing or client.create_logged_model(
            experiment,
            name=model.name,
            source_run_id=run_id,
            tags={**_own(model.tags), COPY_TAG: model.model_id},
            params=dict(model.params or {}),
            model_type=model.model_type,
        )
    if str(copy.status) == "READY":
        return str(copy.model_id)
    renames = {
        model.artifact_location: copy.artifact_location,
        model.model_id: copy.model_id,
        run.info.run_id: run_id,
    }
    trees = (Tree(str(model.artifact_location), old.address), Tree(str(copy.artifact_location), new.address))
    copy_tree(*trees, change=lambda file: _rename(file, renames))
    with new.connect() as client:
        _link(client, run, model, run_id, copy.model_id)
        client.finalize_logged_model(copy.model_id, "READY")
    return str(copy.model_id)


def _own(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not key.startswith("mlflow.")}


def _rename(file: Path, renames: Mapping[str, str]) -> None:
    """Replace the old model's ids and address in the description of its copy."""
    if file.name == DESCRIPTION:
        text = file.read_text()
        for source, copy in renames.items():
            text = text.replace(source, copy)
        file.write_text(text)


def _link(client: MlflowClient, run: Run, model: LoggedModel, run_id: str, model_id: str) -> None:
    """The run's output and the model's metrics."""
    outputs = run.outputs.model_outputs if run.outputs is not None else []
    step = next((output.step for output in outputs if output.model_id == model.model_id), 0)
    linked = client.get_run(run_id).outputs
    if all(output.model_id != model_id for output in (linked.model_outputs if linked is not None else [])):
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=step)])
    metrics = [
        Metric(m.key, m.value, m.timestamp, m.step, model_id=model_id, run_id=run_id)
        for m in model.metrics or []
    ]
    for batch in batches.of_metrics(metrics):
        client.log_batch(run_id, metrics=batch)


def _models(client: MlflowClient, experiment: str) -> Iterator[LoggedModel]:
    token = None
    while True:
        page = client.search_logged_models([experiment], page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _champion(client: MlflowClient, name: str) -> str | None:
    """The version that is the champion, if there is a registered model of this name."""
    try:
        return str(client.get_registered_model(name).aliases.get(registry.ALIAS))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
