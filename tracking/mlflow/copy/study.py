"""Moving a study's records to another MLflow store: everything is copied, and the old store stays as it is."""

from collections.abc import Sequence

from mlflow import MlflowClient

from tracking.errors import TrackingRefused
from tracking.mlflow.copy.models import copy_models, copy_registered
from tracking.mlflow.copy.runs import End, copy_runs, finish_runs, refuse_others, runs_of
from tracking.mlflow.tracker import MlflowTracker
from tracking.redaction import redact


def copy_study(
    source: MlflowTracker,
    target: MlflowTracker,
    study: str,
    study_ids: Sequence[str],
    registered: str,
    needed: Sequence[str],
) -> dict[str, str]:
    """Copy a study's runs, models and champion; old id to new id, of runs and models. Again copies what is new.

    `study_ids`: the study, and others that are recorded in its experiment. `needed`: runs that must be in the source.
    Raises TrackingRefused, TrackingUnavailable.
    """
    if source.address == target.address:
        raise TrackingRefused(f"The study is recorded in {redact(target.address)} already.")
    for tracker in (source, target):
        tracker.check()
    old, new = (End(t.address, MlflowClient(t.address, registry_uri=t.address)) for t in (source, target))
    runs = runs_of(old, study, study_ids)
    refuse_others(old, runs, needed)
    ids = copy_runs(old, new, study, runs)
    models = copy_models(old, new, runs, ids)
    copy_registered(old, new, registered, models)
    finish_runs(new, runs, ids, models)
    return ids | models
