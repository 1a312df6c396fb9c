"""What an environment prints does not get between a command's results and whoever reads them."""

import json
import subprocess
import sys
from pathlib import Path

from omad_core.config import TrainConfig
from omad_core.population import Population
from omad_core.settings import replace

WORLDS = Path(__file__).parents[2] / "omad_core" / "envs" / "pettingzoo"
SMALL = {
    "task": "odd_worlds:printing",
    "env_steps": 60,
    "actor.hidden_width": 8,
    "critic.hidden_width": 8,
    "replay_size": 300,
}


def test_an_environment_that_prints_from_python_and_from_c_leaves_json_whole(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(WORLDS))
    population = Population(replace(TrainConfig(), SMALL), slice_seconds=0)
    member = population.admit(replace(TrainConfig(), SMALL))
    population.advance()
    population.policy(member).save(tmp_path / "p")
    population.close()
    command = [
        sys.executable,
        "-P",
        "-m",
        "cli.main",
        "evaluate",
        str(tmp_path / "p"),
        "--episodes",
        "1",
        "--json",
    ]
    done = subprocess.run(command, cwd=WORLDS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["lengths"] == [5]
    assert done.stderr.count("from python") == done.stderr.count("from C") == 5


def test_help_and_results_are_on_standard_output():
    for argument, words in (("--help", "Usage"), ("tasks", "hopper")):
        command = [sys.executable, "-P", "-m", "cli.main", argument]
        assert words in subprocess.run(command, capture_output=True, text=True).stdout
