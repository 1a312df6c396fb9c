"""Takeover across machines: homes that share nothing but the storage and a tracking server."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file

from search.slots.studies import optuna_study
from tracking.mlflow.tracker import MlflowTracker
from tracking.tracker import RunInfo


def tensors(policy: Path) -> dict[str, torch.Tensor]:
    """All parameters of a policy folder."""
    return {
        f"{file.name}/{name}": tensor
        for file in sorted(policy.rglob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def newest_step(rows: Any) -> int:
    """Step of the newest checkpoint that other machines can fetch."""
    return max((ref.step for ref in rows[0].checkpoints if ref.uri is not None), default=0)


def test_a_trial_that_goes_from_machine_to_machine_has_the_parameters_of_one_that_stayed(
    location: Callable[..., Any], tracking_server: Any, undisturbed: Callable[..., Any], tmp_path: Path
) -> None:
    study = location("study", 1, tracking=tracking_server.address, study_name="takeover")
    reached = [0]
    for home in ("first", "second"):
        study.start(home)
        study.wait_for(lambda rows: newest_step(rows) > reached[-1] + 100)
        study.kill()
        reached.append(newest_step(study.rows()))
        shutil.rmtree(study.folder / home)
    newest = study.rows()[0].checkpoints[0]
    run = study.rows()[0].mlflow_run_id
    (manifest,) = tracking_server.artifacts.rglob(f"{run}/artifacts/checkpoints/{newest.name}")
    next(manifest.parent.glob("*.safetensors")).write_bytes(b"not what was written")
    study.start("third")
    study.finish()
    assert f"the checkpoint at step {newest.step} cannot be used" in study.log
    (row,) = study.rows()
    (trial,) = optuna_study(study.store, study.handle).get_trials()
    alone = undisturbed(study.spec, trial)
    assert (row.outcome, row.published) == ("complete", True)
    history = MlflowClient(study.tracking).get_metric_history(row.mlflow_run_id, "eval/return_mean")
    assert [(point.step, point.value) for point in history] == list(alone.returns.items())
    tracker = MlflowTracker(study.tracking)
    found = tensors(tracker.download_model(str(tracker.model_of(row.mlflow_run_id)), tmp_path / "model"))
    expected = tensors(alone.policy)
    assert found.keys() == expected.keys()
    assert len(found) > 0
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_a_slow_tracking_server_has_not_taken_yet_is_sent_before_a_worker_leaves(
    location: Callable[..., Any], work_here: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(tracker: MlflowTracker, info: RunInfo) -> str:
        time.sleep(2.0)
        return quickly(tracker, info)

    study = location("study", 1)
    quickly = MlflowTracker.open_run
    monkeypatch.setattr(MlflowTracker, "open_run", slowly)
    work_here(study, "home", until=lambda rows: rows[0].progress.get("step", 0) > 100)
    (row,) = study.rows()
    assert (row.state, row.attempt) == ("open", 0)
    assert row.checkpoints[0].step == newest_step([row]) > 100, "other machines can go on from there"
