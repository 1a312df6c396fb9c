"""Publishing: what is left to do when a trial has its result: curve, model, run, and then the checkpoints go."""

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from omad_core.policy import Policy
from search.records import overview
from search.records.carrying import carry
from search.records.home import remove
from search.records.model_card import Facts, model_card
from search.records.recording import Rooms, end_run
from search.slots import budget, slots
from search.slots.lease import Lease, SlotRow
from search.spec.spec import StudySpec
from search.storage.patience import patiently
from search.storage.store import Store
from tracking.sender import send_curve
from tracking.spool import Spool
from tracking.tracker import ModelFiles

log = logging.getLogger(__name__)

REQUIRED = ("mlflow", "torch", "numpy", "safetensors")
"""What a model needs to be loaded; `omad_core` travels with it."""
EXAMPLE_ROWS = 2
FOREVER = 2**62


@dataclass(frozen=True)
class Result:
    """An ended trial, as its worker or whoever stepped in for it knows it."""

    spec: StudySpec
    number: int
    """Optuna's number of the trial."""
    params: dict[str, Any]
    model_folder: Path | None
    """The best seed's policy, of a complete trial."""
    step: int
    spool: Spool


def publish(rooms: Rooms, lease: Lease, run_id: str, result: Result, slot_folder: Path) -> str | None:
    """Send what is left, store the model, end the run, note it on the slot. Every step can be repeated.

    Returns the model's address, if the trial has one. Raises LeaseLost, TrackingUnavailable.
    """
    patiently(lambda: slots.check(rooms.store, lease), rooms.patience_seconds)
    send_curve(result.spool, rooms.tracker, run_id, FOREVER)
    model_uri = _publish_model(rooms, lease, run_id, result)
    tags = {"omad.trial": str(result.number)} | ({"omad.model": model_uri} if model_uri else {})
    end_run(rooms.tracker, run_id, lease, tags)
    overview.record(rooms.store, rooms.tracker, result.spec.name)
    patiently(lambda: slots.publish(rooms.store, lease, model_uri), rooms.patience_seconds)
    patiently(lambda: slots.forget_checkpoints(rooms.store, lease), rooms.patience_seconds)
    remove(slot_folder)
    return model_uri


def _publish_model(rooms: Rooms, lease: Lease, run_id: str, result: Result) -> str | None:
    if lease.outcome != "complete" or result.model_folder is None or lease.value is None:
        return None
    policy = Policy.load(result.model_folder)
    metrics = {"score": lease.value} | _last_return(result.spool)
    with tempfile.TemporaryDirectory(prefix="omad-code-") as folder:
        files = model_files(policy, result, metrics, carry(Path(folder)))
        uri = rooms.tracker.publish_model(run_id, f"trial-{result.number}", files)
    _crown(rooms, lease, result, uri, policy)
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
            "task": spec.name,
            "trial": result.number,
            "agents": list(spec.agents),
            "observation_widths": list(spec.obs_dims),
            "action_widths": list(spec.action_dims),
        },
    )


def _last_return(spool: Spool) -> dict[str, float]:
    """The last evaluation, by which MLflow's users rank models."""
    name = "eval/return_mean"
    values = [row.metrics[name] for row in spool.rows() if name in row.metrics]
    return {name: values[-1]} if values else {}


def _version(name: str) -> str:
    """The installed version, without a local part such as +cpu that no index offers."""
    return metadata.version(name).partition("+")[0]


def _crown(rooms: Rooms, lease: Lease, result: Result, uri: str, policy: Policy) -> None:
    """Make the model the study's champion if no complete trial is better."""
    best = patiently(lambda: best_slot(rooms.store, lease.study_id), rooms.patience_seconds)
    if lease.value is None or (best is not None and lease.value < (best.value or 0.0)):
        return
    name = f"omad-{result.spec.name}"
    facts = Facts(result.spec, result.number, result.params, lease.value, result.step)
    rooms.tracker.register_champion(uri, name, model_card(facts, uri, policy))
    _give_way(rooms, lease, name)


def _give_way(rooms: Rooms, lease: Lease, name: str) -> None:
    """Crown again who was crowned by another worker between the look at the results and our own crowning."""
    crowned = lease.number
    while True:
        best = patiently(lambda: best_slot(rooms.store, lease.study_id), rooms.patience_seconds)
        if best is None or best.number == crowned or best.mlflow_run_id is None:
            return
        if best.value == lease.value or (uri := rooms.tracker.model_of(best.mlflow_run_id)) is None:
            return  # as good as this one, or not stored yet: who stores it crowns it
        rooms.tracker.register_champion(uri, name, None)
        crowned = best.number


def best_slot(store: Store, study_id: int) -> SlotRow | None:
    """The complete trial with the best score."""
    complete = [r for r in budget.rows(store, study_id) if r.outcome == "complete" and r.value is not None]
    return max(complete, key=lambda row: row.value or 0.0, default=None)
