"""Model download: which model a run has, and a published model's policy folder on this machine."""

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tracking.errors import ArtifactMissing, TrackingRefused
from tracking.mlflow.artifacts import open_store
from tracking.mlflow.location import where
from tracking.mlflow.runs import stage
from tracking.redaction import shown_address

POLICY_FILE = "policy.json"


def model_of(client: MlflowClient, run_id: str) -> str | None:
    """Address of the finished model that a run has published."""
    if stage(client, run_id) is None:
        return None
    run = client.get_run(run_id)
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    ready = [model for model in models if str(model.status) == "READY"]
    newest = max(ready, key=lambda model: (model.creation_timestamp, model.model_id), default=None)
    return None if newest is None else f"models:/{newest.model_id}"


def download(client: MlflowClient, address: str, model_uri: str, folder: Path) -> Path:
    """Fetch the files of `models:/m-...`, `models:/name@alias` or `models:/name/3`; the policy folder among them."""
    location = _location(client, address, model_uri)
    folder.mkdir(parents=True, exist_ok=True)
    store = open_store(location, address)
    if not store.list_artifacts(None):
        raise ArtifactMissing(
            f"The files of {model_uri} are missing: they are not in {where(location, address)}."
        )
    store.download_artifacts("", str(folder))
    file = next(folder.rglob(POLICY_FILE), None)
    if file is None:
        raise ArtifactMissing(
            f"{model_uri} holds no policy of omad-search (no {POLICY_FILE} among its files)."
        )
    return file.parent


def _location(client: MlflowClient, address: str, model_uri: str) -> str:
    prefix, _, name = model_uri.partition(":/")
    if prefix != "models" or not name:
        raise TrackingRefused(
            f"{model_uri!r} is no model's address: write models:/m-..., models:/NAME@champion."
        )
    try:
        model_id = name if name.startswith("m-") else _registered(client, name)
        if model_id is not None:
            return str(client.get_logged_model(model_id).artifact_location)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"):
            raise
    raise _missing(model_uri, address)


def _missing(model_uri: str, address: str) -> TrackingRefused:
    return TrackingRefused(
        f"There is no model {model_uri} in {shown_address(address)}, or it was deleted; MLflow's page of models lists "
        "those that are there, MLFLOW_TRACKING_URI names another MLflow."
    )


def _registered(client: MlflowClient, name: str) -> str | None:
    """Identity of the published model of a registered one; None where there is no version of that."""
    version = _version(client, name)
    if version is None:
        return None
    model_id = version.model_id or version.tags.get("omad.model_id")
    if not model_id:
        raise TrackingRefused(f"Version {version.version} of the model {name!r} names no published model.")
    return str(model_id)


def _version(client: MlflowClient, name: str) -> ModelVersion | None:
    """The version that `name@alias` or `name/3` means, of a name alone the newest; None where that has none."""
    if "@" in name:
        return client.get_model_version_by_alias(*name.split("@", 1))
    if "/" in name:
        return client.get_model_version(*name.split("/", 1))
    versions = client.search_model_versions(f"name = '{name}'")
    return max(versions, key=lambda version: int(version.version), default=None)
