"""Workers on a real Slurm: launched, preempted, at their time limit; what cannot work is refused before."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from search.slots.lease import SlotRow

pytestmark = pytest.mark.slow


@pytest.fixture
def launch(slurm: Any, tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """`omad-search launch slurm`, for a study or nothing."""

    def command(study: Any, *words: str) -> "subprocess.CompletedProcess[str]":
        environment = {**study.environment(), "SLURM_CONF": str(slurm.configuration)}
        command = [
            sys.executable,
            "-m",
            "cli.main",
            "launch",
            "slurm",
            *words,
            "--workers",
            "1",
            "--grace",
            "20",
        ]
        command += ["--folder", str(tmp_path / "logs"), "--partition", "low"]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return command


def trained(rows: list[SlotRow]) -> bool:
    return any(row.checkpoints and row.checkpoints[0].step >= 100 for row in rows)


def released(rows: list[SlotRow]) -> bool:
    return [row.state for row in rows] == ["open"] and trained(rows)


def check_resumed(study: Any, slurm: Any, job: str) -> None:
    """The trial was given back with a checkpoint; its job is queued again and resumes the trial from there."""
    study.wait_for(released)
    (left,) = study.rows()
    assert left.owner is None
    study.wait_for(lambda rows: rows[0].progress.get("token", 0) > left.token)
    assert slurm.jobs() == {job: "RUNNING"}
    assert study.rows()[0].progress["step"] >= left.checkpoints[0].step
    study.wait_for(lambda rows: rows[0].checkpoints[0].step > left.checkpoints[0].step)
    (resumed,) = study.rows()
    assert (resumed.trial_id, resumed.mlflow_run_id) == (left.trial_id, left.mlflow_run_id)


@pytest.fixture
def study(location: Callable[..., Any], slurm: Any) -> Iterator[Any]:
    """A study of one trial that lasts longer than any of these tests."""
    yield location("study", 1, steps=100_000)
    slurm.cancel()


def test_a_preempted_worker_checkpoints_and_its_job_goes_on_from_there(
    slurm: Any, launch: Callable[..., Any], study: Any
) -> None:
    done = launch(study, "hopper")
    assert (done.returncode, done.stderr) == (0, "")
    (job,) = slurm.jobs()
    study.wait_for(trained)
    slurm.command("sbatch", "--partition=high", "--exclusive", "--output=/dev/null", "--wrap=sleep 3")
    check_resumed(study, slurm, job)


def test_at_its_time_limit_a_worker_checkpoints_and_its_job_goes_on_from_there(
    slurm: Any, launch: Callable[..., Any], study: Any
) -> None:
    done = launch(study, "hopper")
    assert done.returncode == 0, done.stderr
    (job,) = slurm.jobs()
    study.wait_for(trained)
    minutes = int(slurm.command("squeue", "--noheader", "--format=%M").split(":")[-2])
    slurm.command("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes + 2}")
    study.wait_for(released)
    slurm.command("scontrol", "update", f"JobId={job}", "TimeLimit=60")
    check_resumed(study, slurm, job)
