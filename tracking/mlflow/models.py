"""Policies as MLflow models: a LoggedModel of the trial's run, loadable where pickles are forbidden."""

import shutil
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of type hints of its own while it is imported
    import mlflow.pyfunc
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, Metric, Run
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray

from tracking.errors import TrackingError
from tracking.mlflow import batches
from tracking.mlflow.artifacts import open_store
from tracking.mlflow.names import model_name
from tracking.mlflow.runs import OUTCOME_TAG, REASON_TAG
from tracking.tracker import ModelFiles

POLICY_ARTIFACT = "policy"
"""Under this name the model's code finds the policy folder: `context.artifacts["policy"]`."""
MODEL_TYPE = "omad-policy"
CHANGING_TAGS = frozenset({OUTCOME_TAG, REASON_TAG})
"""Tags of a run that are still to change when its model is stored; the model would keep them as they were."""


def publish(client: MlflowClient, address: str, run_id: str, name: str, files: ModelFiles) -> str:
    """Store the model, or finish one that a killed worker left half stored; returns its address."""
    run = client.get_run(run_id)
    model = _find(client, run, model_name(name)) or _create(client, run, model_name(name))
    if str(model.status) != "READY":
        _store(client, address, run, model, files)
    return f"models:/{model.model_id}"


def _find(client: MlflowClient, run: Run, name: str) -> LoggedModel | None:
    """The run's model of that name, the finished one before the oldest unfinished one."""
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    same = [model for model in models if model.name == name]
    return min(same, key=lambda m: (str(m.status) != "READY", m.creation_timestamp, m.model_id), default=None)


def _create(client: MlflowClient, run: Run, name: str) -> LoggedModel:
    omad_tags = {key: value for key, value in run.data.tags.items() if key.startswith("omad.")}
    tags = {key: value for key, value in omad_tags.items() if key not in CHANGING_TAGS}
    return client.create_logged_model(
        run.info.experiment_id,
        name=name,
        source_run_id=run.info.run_id,
        params=dict(run.data.params),
        tags=tags,
        model_type=MODEL_TYPE,
    )


def _store(client: MlflowClient, address: str, run: Run, model: LoggedModel, files: ModelFiles) -> None:
    """Files, link and metrics, then READY: the last step, so that a model which is READY is whole."""
    with tempfile.TemporaryDirectory(prefix="omad-model-") as temporary:
        folder = Path(temporary) / "model"
        _write_files(folder, run, model, files)
        open_store(str(model.artifact_location), address).log_artifacts(str(folder))
    outputs = run.outputs.model_outputs if run.outputs is not None else []
    if all(output.model_id != model.model_id for output in outputs):
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, step=files.step)])
    for batch in batches.of_metrics(_metrics(client, run, model, files)):
        client.log_batch(run.info.run_id, metrics=batch)
    client.finalize_logged_model(model.model_id, "READY")


def _write_files(folder: Path, run: Run, model: LoggedModel, files: ModelFiles) -> None:
    """The model's folder, as `mlflow.pyfunc.load_model` reads it."""
    for needed in (files.folder, files.code, *files.code_paths):
        if not needed.exists():
            raise TrackingError(f"The model cannot be stored: {needed} does not exist.")
    description = Model(
        artifact_path=model.artifact_location,
        model_uuid=model.model_id,
        run_id=run.info.run_id,
        model_id=model.model_id,
    )
    mlflow.pyfunc.save_model(
        path=str(folder),
        mlflow_model=description,
        python_model=str(files.code),
        artifacts={POLICY_ARTIFACT: str(files.folder)},
        code_paths=[str(path) for path in files.code_paths],
        pip_requirements=list(files.requirements),
        signature=_signature(files),
        input_example=files.input_example,
        metadata=dict(files.metadata),
    )
    for cache in list(folder.rglob("__pycache__")):
        shutil.rmtree(cache)


def _signature(files: ModelFiles) -> ModelSignature:
    """Of inputs, outputs and parameters, as the examples have them; open in all axes where any width will do."""
    signature = infer_signature(files.input_example, files.output_example, dict(files.predict_params) or None)
    if not files.any_width:
        return signature
    inputs, outputs = (_open(np.asarray(array)) for array in (files.input_example, files.output_example))
    return ModelSignature(inputs=inputs, outputs=outputs, params=signature.params)


def _open(array: NDArray[Any]) -> Schema:
    return Schema([TensorSpec(array.dtype, (-1,) * array.ndim)])


def _metrics(client: MlflowClient, run: Run, model: LoggedModel, files: ModelFiles) -> Iterable[Metric]:
    """The model's metrics: points that the run has are linked as they are, so that none appears twice."""
    for name, value in files.metrics.items():
        times = [
            point.timestamp
            for point in client.get_metric_history(run.info.run_id, name)
            if point.step == files.step and point.value == value
        ]
        time_ms = times[0] if times else model.creation_timestamp
        yield Metric(name, float(value), time_ms, files.step, model_id=model.model_id, run_id=run.info.run_id)
