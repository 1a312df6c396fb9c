"""The catalog of tasks says what the simulators say, without importing them."""

import subprocess
import sys
from pathlib import Path

import pytest

from omad_core.config import EnvConfig
from omad_core.envs import make_spec
from omad_core.envs.catalog import TASKS, find
from omad_core.envs.unsupported_arguments import MUJOCO, SPREAD
from omad_core.errors import TaskError


@pytest.mark.parametrize("name", TASKS)
def test_an_entry_agrees_with_its_simulator(name: str) -> None:
    task, spec = find(name), make_spec(name, EnvConfig())
    assert (spec.name, spec.num_agents, spec.horizon) == (task.name, task.agents, task.horizon)
    assert spec.terminates == task.terminates
    assert spec.resumable
    assert spec.versions


def test_every_argument_that_is_refused_stands_in_the_documentation() -> None:
    text = (Path(__file__).parents[3] / "docs" / "algorithm.md").read_text()
    assert [name for name in MUJOCO | SPREAD if f"`{name}`" not in text] == []


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(TaskError, match="did you mean 'ant_2x4d'"):
        find("ant_2x4_d")


@pytest.mark.parametrize("module", ["omad_core.envs.catalog", "omad_core.envs"])
def test_reading_the_catalog_imports_no_simulator(module: str) -> None:
    heavy = {"torch", "mujoco", "gymnasium", "gymnasium_robotics", "pettingzoo", "mpe2"}
    code = f"import {module}, sys; print(*({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
