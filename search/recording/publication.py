"""Publication: an ended trial's curve, model and status go to its run; then its checkpoints are deleted."""

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from omad_core.policy import Policy
from search.checkpoints.workdir import remove
from search.recording import study_run
from search.recording.bundle import write_bundle
from search.recording.model_card import Facts, model_card
from search.recording.slot_run import RecordingContext, SlotRun, end_run
from search.slots import budget, lease_writes
from search.slots.lease import Lease, SlotRow
from search.storage.patience import patiently
from search.storage.store import Store
from search.study.confirmation import training_name
from search.study.study_spec import StudySpec
from tracking.sender import send_curve
from tracking.spool.spool import Spool
from tracking.tracker import ModelFiles

log = logging.getLogger(__name__)

REQUIRED = ("mlflow", "torch", "numpy", "safetensors")
"""What a model needs to be loaded; `omad_core` travels with it."""
EXAMPLE_ROWS = 2
FOREVER = 2**62


@dataclass(frozen=True)
class Result:
    """An ended trial, as its worker knows it, or the one that publishes in its place."""

    spec: StudySpec
    number: int
    """Optuna's number of the trial."""
    params: dict[str, Any]
    model_folder: Path | None
    """The best seed's policy, of a complete trial."""
    step: int
    spool: Spool


def publish(
    context: RecordingContext, lease: Lease, run: SlotRun, result: Result, slot_folder: Path
) -> str | None:
    """Send the rest of the curve, store the model, end the run, record it on the slot. Every step can be repeated.

    Returns the model's address, if the trial has one. Raises LeaseLost, TrackingUnavailable.
    """
    patiently(lambda: lease_writes.check(context.store, lease), context.patience_seconds)
    model_uri = run.write(lambda run_id: _record(context, lease, run_id, result))
    study_run.record(context.store, context.tracker, result.spec.name)
    patiently(lambda: lease_writes.publish(context.store, lease, model_uri), context.patience_seconds)
    patiently(lambda: lease_writes.forget_checkpoints(context.store, lease), context.patience_seconds)
    remove(slot_folder)
    return model_uri


def _record(context: RecordingContext, lease: Lease, run_id: str, result: Result) -> str | None:
    """Write what the trial's run is to hold in the end; the model's address, if there is one."""
    send_curve(result.spool, context.tracker, run_id, FOREVER)
    model_uri = _publish_model(context, lease, run_id, result)
    tags = {"omad.trial": str(result.number)} | ({"omad.model": model_uri} if model_uri else {})
    end_run(context.tracker, run_id, lease, tags)
    return model_uri


def _publish_model(context: RecordingContext, lease: Lease, run_id: str, result: Result) -> str | None:
    if lease.outcome != "complete" or result.model_folder is None or lease.value is None:
        return None
    policy = Policy.load(result.model_folder)
    metrics = {"score": lease.value} | _last_return(result.spool)
    with tempfile.TemporaryDirectory(prefix="omad-code-") as folder:
        files = model_files(policy, result, metrics, write_bundle(Path(folder)))
        uri = context.tracker.publish_model(run_id, _model_name(result), files)
    if result.spec.kind == "search":  # a confirmation crowns no champion
        _register(context, lease, result, uri, policy)
    return uri


def model_files(policy: Policy, result: Result, metrics: Mapping[str, float], code: Path) -> ModelFiles:
    """What a policy's model is made of; `code` is the package that travels with it."""
    example = np.zeros((EXAMPLE_ROWS, sum(policy.spec.obs_dims)), np.float32)
    spec = policy.spec
    return ModelFiles(
        folder=result.model_folder or code,
        code=Path(__file__).parent / "served_policy.py",
        code_paths=[code],
        requirements=[f"{name}=={_version(name)}" for name in REQUIRED],
        input_example=example,
        output_example=policy.act_joint(example, seed=0),
        any_width=True,
        metrics=metrics,
        predict_params={"agent": "", "deterministic": False, "seed": -1},
        step=result.step,
        metadata={
            "study": result.spec.name,
            "algorithm": policy.notes.get("algorithm", result.spec.config.algorithm),
            "task": spec.name,
            "trial": result.number,
            "agents": list(spec.agents),
            "observation_widths": list(spec.obs_dims),
            "action_widths": list(spec.action_dims),
        },
    )


def _model_name(result: Result) -> str:
    """Named like its run."""
    if result.spec.parent is None:
        return f"trial-{result.number}"
    return training_name(result.number, result.params).replace(",", "").replace(" ", "-")


def _last_return(spool: Spool) -> dict[str, float]:
    """The last evaluation, by which MLflow's users rank models."""
    name = "eval/return_mean"
    values = [row.metrics[name] for row in spool.rows() if name in row.metrics]
    return {name: values[-1]} if values else {}


def _version(name: str) -> str:
    """The installed version, without a local part such as +cpu that no index offers."""
    return metadata.version(name).partition("+")[0]


def _register(context: RecordingContext, lease: Lease, result: Result, uri: str, policy: Policy) -> None:
    """Make the model the study's champion if no complete trial is better."""
    best = patiently(lambda: best_slot(context.store, lease.study_id), context.patience_seconds)
    if lease.value is None or (best is not None and lease.value < (best.value or 0.0)):
        return
    name = f"omad-{result.spec.name}"
    params = result.spec.space.settings(result.params)
    facts = Facts(result.spec, result.number, params, lease.value, result.step)
    context.tracker.register_champion(uri, name, model_card(facts, uri, policy))
    _yield_to_better(context, lease, name)


def _yield_to_better(context: RecordingContext, lease: Lease, name: str) -> None:
    """Register the best model again, where another worker registered it between our reading and our writing."""
    registered = lease.number
    while True:
        best = patiently(lambda: best_slot(context.store, lease.study_id), context.patience_seconds)
        if best is None or best.number == registered or best.mlflow_run_id is None:
            return
        if best.value == lease.value or (uri := context.tracker.model_of(best.mlflow_run_id)) is None:
            return  # as good as this one, or not stored yet: its publisher registers it
        context.tracker.register_champion(uri, name, None)
        registered = best.number


def best_slot(store: Store, study_id: int) -> SlotRow | None:
    """The complete trial with the best score."""
    complete = [r for r in budget.rows(store, study_id) if r.outcome == "complete" and r.value is not None]
    return max(complete, key=lambda row: row.value or 0.0, default=None)
