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
from search.slots import budget
from search.slots.studies import open_study
from search.storage.store import open_storage

ROOT = Path(__file__).parents[3]
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


def _check_runs(client: MlflowClient) -> None:
    """A run for the study and its confirmation, one a trial and a held-out training, each curve once and in order."""
    experiment = client.get_experiment_by_name("hopper")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    trials = [run for run in runs if (run.info.run_name or "").startswith("trial ")]
    names = sorted(run.info.run_name or "" for run in trials)
    searched = [name for name in names if "held-out" not in name]
    assert searched == ["trial 0", "trial 1"]
    held_out = set(names) - set(searched)
    assert {"trial 0, held-out 0", "trial 0, held-out 1"} <= held_out, "the defaults are confirmed"
    assert sorted(run.info.run_name or "" for run in runs) == sorted(["hopper", "confirmation", *names])
    for run in trials:
        assert run.info.status == "FINISHED"
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "eval/return_mean")]
        assert steps == list(range(100, 501, 100))


WORLD = """
import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv


class World(ParallelEnv):
    metadata = {"name": "world"}

    def __init__(self, fails=False):
        self.possible_agents, self.agents, self.fails, self.render_mode = ["a0", "a1"], [], fails, None

    def observation_space(self, agent):
        return spaces.Box(-1, 1, (3,), np.float32)

    def action_space(self, agent):
        return spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, seed=None, options=None):
        self.agents, self.t = list(self.possible_agents), 0
        return {a: np.zeros(3, np.float32) for a in self.agents}, {a: {} for a in self.agents}

    def step(self, actions):
        if self.fails:
            raise ValueError("the arm broke")
        self.t, here = self.t + 1, self.agents
        over = self.t >= 20
        self.agents = [] if over else here
        seen = {a: np.zeros(3, np.float32) for a in here}
        never, ends = dict.fromkeys(here, False), dict.fromkeys(here, over)
        return seen, dict.fromkeys(here, 1.0), never, ends, {a: {} for a in here}


def make(fails=False):
    return World(fails)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "worlds_of_run.py").write_text(WORLD)
    for name in ("OMAD_STORAGE", "MLFLOW_TRACKING_URI", "OMAD_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def typed(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["run", *words])
    assert isinstance(left.value.code, int)
    return left.value.code


def made(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"worlds_of_run.py", "__pycache__"}


FAILING = ["--task", "worlds_of_run:make", "--profile", "smoke", "--trials", "2", "--workers", "1"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_study_all_of_whose_trials_failed_is_a_failure_with_reasons(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for again in (False, True):
        assert typed(*FAILING, "--set", "env.args.fails=true") == 1
        said = capfd.readouterr()
        assert re.search(r"trials 0, 1 failed: .*the arm broke", said.err), (again, said.err)
        assert "No trial completed" in said.out
        assert "omad-search retry worlds_of_run-make --failed" in said.out
        assert "champion" not in said.out
    run = MlflowClient(f"sqlite:///{folder}/mlflow.db").search_runs(["1"], "tags.omad.progress != ''")[0]
    assert run.info.status == "FAILED"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_study_can_be_created_without_training(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("--task", "hopper", "--profile", "smoke", "--workers", "0") == 0
    said = capsys.readouterr().out
    assert "study hopper is created: 2 trials of hopper, profile smoke" in said
    assert "  omad-search worker hopper\n" in said
    assert typed("--task", "hopper", "--workers", "0", "--trials", "5") == 0
    assert "extended by 3 trials" in capsys.readouterr().err
    with open_storage(f"sqlite:///{folder}/omad.db") as store:
        counts = budget.counts(store, open_study(store, "hopper").study_id)
    assert (counts.total, counts.open) == (5, 5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_refused_run_leaves_nothing_behind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "s.toml").write_text('task = "hopper"\nname = "there"')
    assert typed("--task", "s.toml", "--profile", "smoke", "--workers", "0") == 0
    storage = ["--storage", f"sqlite:///{folder}/omad.db"]
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    (elsewhere / "s.toml").write_text('task = "hopper"\nname = "there"\n[train]\ngamma = 0.98')
    for words, complaint in [
        (["--study", "there", *storage], "is recorded in"),
        (["--study", "there", "--trials", "1", *storage], "--trials 1 (the study has 2)"),
        (["--task", "s.toml", *storage], "than s.toml has now"),
        (["--study", "there", "--reuse", "x", *storage], "was begun with no other study"),
        (["--study", "absent", *storage], "has no study 'absent'"),
        (["--study", "absent"], "there is no study 'absent' to continue"),
        (["--task", "hopper", "--reuse", "absent"], "there is no such file"),
        (["--task", "hopper", "--reuse", "there", *storage], "has no complete trial yet"),
        (["--task", "hoper"], "did you mean 'hopper'"),
        (["--task", "hopper", "--set", "gama=1"], "did you mean 'gamma'"),
        (["--task", "hopper", "--storage", "sqlite:////nowhere/x.db"], "there is no folder"),
        (["--task", "no_such_module:make"], "no_such_module"),
    ]:
        assert typed(*words, "--workers", "0") in (1, 2)
        assert complaint in capsys.readouterr().err
        assert made(elsewhere) == {"s.toml"}, words


@pytest.mark.parametrize("command", ["run", "compare", "worker", "confirm"])
def test_where_workers_could_keep_nothing_is_told_before_anything_is_made(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").touch()
    monkeypatch.setenv("OMAD_HOME", "file/home")
    words = ["hopper"] if command in ("worker", "confirm") else ["--task", "hopper", "--profile", "smoke"]
    words += ["--algorithms", "omad,gaussian"] if command == "compare" else []
    with pytest.raises(SystemExit, match=r"^1$"):
        main([command, *words])
    assert "nothing can be written to file/home" in capsys.readouterr().err
    assert made(folder) == {"file"}
