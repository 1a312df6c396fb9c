"""The champion: the best model of a study, registered under one name that always means the best."""

import json
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModel
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from tracking.errors import TrackingRefused
from tracking.mlflow.address import is_web
from tracking.mlflow.artifacts import open_store
from tracking.mlflow.names import model_name
from tracking.mlflow.runs import NOTE_TAG

ALIAS = "champion"
MODEL_TAG = "omad.model_id"
LONGEST_CARD = 5_000
"""What databases hold of a version's description; the whole card is an artifact of the model."""
CARD_ARTIFACT = "model_card.md"
VERSIONS_TAG = "mlflow.modelVersions"
"""MLflow's UI reads here that a model is registered."""


def register(client: MlflowClient, address: str, model_uri: str, name: str, card: str | None) -> str:
    """Make a published model the champion; repeating it changes nothing, and `card=None` keeps the card it has."""
    name = model_name(name)
    model = _model(client, model_uri)
    _create_name(client, name)
    version = _version(client, name, model.model_id) or _create_version(client, address, name, model)
    shown = str(version.description or "") if card is None else card[:LONGEST_CARD]
    if card is not None and version.description != shown:
        _store_card(address, model, card)
        client.update_model_version(name, version.version, description=shown)
    _show_on_model(client, model.model_id, version, shown)
    registered = client.get_registered_model(name)
    if (registered.description or "") != shown:
        client.update_registered_model(name, description=shown)
    if str(registered.aliases.get(ALIAS)) != str(version.version):
        client.set_registered_model_alias(name, ALIAS, str(version.version))
    return f"models:/{name}@{ALIAS}"


def _model(client: MlflowClient, model_uri: str) -> LoggedModel:
    prefix, _, model_id = model_uri.partition(":/")
    if prefix != "models" or not model_id.startswith("m-"):
        raise TrackingRefused(f"{model_uri!r} is not the address of a published model, models:/m-... .")
    return client.get_logged_model(model_id)


def _create_name(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version(client: MlflowClient, name: str, model_id: str) -> ModelVersion | None:
    found = client.search_model_versions(f"name = '{name}'")
    return next((version for version in found if version.tags.get(MODEL_TAG) == model_id), None)


def _create_version(client: MlflowClient, address: str, name: str, model: LoggedModel) -> ModelVersion:
    """A version that names its model where a server can resolve that, else the model's files.

    Without a server MLflow would resolve the model's name at its global tracking address, not at this one.
    """
    return client.create_model_version(
        name,
        source=f"models:/{model.model_id}" if is_web(address) else model.artifact_location,
        run_id=model.source_run_id,
        tags={MODEL_TAG: model.model_id},
        model_id=model.model_id,
    )


def _show_on_model(client: MlflowClient, model_id: str, version: ModelVersion, card: str) -> None:
    """Show on the model's own page its card and its version; not every store of MLflow sees to that."""
    tags = client.get_logged_model(model_id).tags
    known = json.loads(tags.get(VERSIONS_TAG, "[]"))
    if all((each["name"], str(each["version"])) != (version.name, str(version.version)) for each in known):
        versions = [*known, {"name": version.name, "version": str(version.version)}]
        client.set_logged_model_tags(model_id, {VERSIONS_TAG: json.dumps(versions)})
    if card and tags.get(NOTE_TAG) != card:
        client.set_logged_model_tags(model_id, {NOTE_TAG: card})


def _store_card(address: str, model: LoggedModel, card: str) -> None:
    with tempfile.TemporaryDirectory(prefix="omad-card-") as folder:
        file = Path(folder) / CARD_ARTIFACT
        file.write_text(card)
        open_store(str(model.artifact_location), address).log_artifact(str(file))
