"""Moving a study's records to another MLflow store: everything is copied, and the old store stays as it is."""

from collections.abc import Sequence

from mlflow import MlflowClient

from tracking import mlflow_copy, mlflow_copy_models
from tracking.errors import TrackingRefused
from tracking.mlflow_copy import End
from tracking.mlflow_tracker import MlflowTracker
from tracking.redact import redact


def copy_study(
    source: MlflowTracker,
    target: MlflowTracker,
    study: str,
    study_id: str,
    registered: str,
    needed: Sequence[str],
) -> dict[str, str]:
    """Copy a study's runs, models and champion; old id to new id, of runs and models. Again copies what is new.

    `needed`: runs that must be in the source. Raises TrackingRefused, TrackingUnavailable.
    """
    if source.address == target.address:
        raise TrackingRefused(f"The study is recorded in {redact(target.address)} already.")
    for tracker in (source, target):
        tracker.check()
    old, new = (End(t.address, MlflowClient(t.address, registry_uri=t.address)) for t in (source, target))
    runs = mlflow_copy.runs_of(old, study, study_id)
    mlflow_copy.refuse_others(old, runs, needed)
    ids = mlflow_copy.copy_runs(old, new, study, runs)
    models = mlflow_copy_models.copy_models(old, new, runs, ids)
    mlflow_copy_models.copy_registered(old, new, registered, models)
    mlflow_copy.finish_runs(new, runs, ids, models)
    return ids | models
