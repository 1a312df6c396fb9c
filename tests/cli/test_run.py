"""run, as a user types it: from an empty folder to a report, with an interruption in between."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from cli.main import main

ROOT = Path(__file__).parents[2]
WORDS = ["run", "--task", "hopper", "--profile", "smoke", "--workers", "1", "--env-steps", "500"]


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """The command in a folder of its own, without the settings of whoever runs the tests."""
    hidden = ("OMAD_STORAGE", "MLFLOW_TRACKING_URI", "OMAD_HOME", "COLUMNS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-P", "-m", "cli.main", *WORDS, *words]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def interrupted(folder: Path) -> str:
    """What it says when Ctrl-C comes in the middle of its first trial."""
    process = start(folder)
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(r"trial 0 at step [1-4]\d\d/", line):
            process.send_signal(signal.SIGINT)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    return err


def finished(folder: Path, *words: str) -> str:
    """What it says when it may go on to its end."""
    process = start(folder, *words)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, out + err
    return out + err


# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_study_runs_from_nothing_to_a_report_and_survives_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cli.py").write_text("raise SystemExit('a file of the user, not the program')")
    assert "the same command again continues" in interrupted(tmp_path)
    text = finished(tmp_path)
    assert re.search(r"trial 0 goes on at step [1-9][\d,]*: entropy.mode=learned", text)
    # How far a trial is when it is first looked at depends on the machine.
    assert re.search(r"trial 1 (begins|goes on at step [\d,]+): entropy.mode=", text)
    assert "hopper: 2 of 2 trials ended" in text
    for name in (
        "best, trial",
        "random play",
        "critic.learning_rate",
        "omad-search evaluate models:/omad-hopper",
    ):
        assert name in text
    _check_runs(MlflowClient(f"sqlite:///{tmp_path}/mlflow.db"))

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(SystemExit) as left:
        main(["evaluate", "models:/omad-hopper@champion", "--episodes", "2"])
    assert left.value.code == 0
    assert "mean return" in capsys.readouterr().out

    with pytest.raises(SystemExit) as left:
        main(["run", "--study", "hopper"])
    assert left.value.code == 0
    assert "study hopper is finished; `--trials 12` gives it more trials" in capsys.readouterr().err


def _check_runs(client: MlflowClient) -> None:
    """One run for the study, one a trial, each curve once and in order."""
    experiment = client.get_experiment_by_name("hopper")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    trials = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert sorted(run.info.run_name or "" for run in trials) == ["trial 0", "trial 1"]
    assert len(runs) == 3
    for run in trials:
        assert run.info.status == "FINISHED"
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "eval/return_mean")]
        assert steps == list(range(100, 501, 100))
