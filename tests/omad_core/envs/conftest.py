"""Shared by the environment tests: reference environments and a way to step them beside ours."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omad_core.config import EnvConfig
from omad_core.envs import make_env
from omad_core.envs.base import VectorEnv
from omad_core.envs.catalog import TASKS
from omad_core.envs.mujoco.warnings_log import reading_a_model
from omad_core.task import TaskSpec

with contextlib.redirect_stderr(io.StringIO()):
    from gymnasium_robotics import mamujoco_v1
    from gymnasium_robotics.envs.multiagent_mujoco.obsk import get_parts_and_edges

WALKER_ACTUATORS = [
    "thigh_joint",
    "leg_joint",
    "foot_joint",
    "thigh_left_joint",
    "leg_left_joint",
    "foot_left_joint",
]


def walker_one_joint_each() -> dict[str, Any]:
    """Walker2d 6x1, which the reference knows only as a custom factorization."""
    parts, edges, everywhere = get_parts_and_edges("Walker2d", "2x3")
    joints = {joint.label: joint for part in parts for joint in part}
    return {
        "partition": [(joints[name],) for name in WALKER_ACTUATORS],
        "edges": edges,
        "globals": everywhere,
    }


@pytest.fixture
def mamujoco_reference() -> Callable[..., Any]:
    """Builds the environment of gymnasium-robotics that a task of the catalog must equal."""

    def build(task: str, agent_obsk: int = 1, **args: Any) -> Any:
        entry = TASKS[task]
        custom = walker_one_joint_each() if task == "walker2d_6x1" else None
        with reading_a_model():
            return mamujoco_v1.parallel_env(
                entry.scenario, entry.partition, agent_obsk=agent_obsk, agent_factorization=custom, **args
            )

    return build


@pytest.fixture
def build() -> Any:
    """Builds vector environments and closes them after the test."""
    made: list[VectorEnv] = []

    def make(task: str, num_envs: int = 1, threads: int = 1, env: EnvConfig | None = None) -> VectorEnv:
        made.append(make_env(task, env or EnvConfig(), num_envs, threads))
        return made[-1]

    yield make
    for env in made:
        env.close()


@pytest.fixture
def draw_actions() -> Callable[..., np.ndarray]:
    """Draws joint actions in [-1, 1], random in the padding too, which must not matter."""

    def draw(spec: TaskSpec, rng: np.random.Generator, num_envs: int) -> np.ndarray:
        return rng.uniform(-1, 1, (num_envs, spec.num_agents, spec.action_width))

    return draw


@pytest.fixture
def toys() -> str:
    """Folder of `toy_worlds.py`, to be put on the import path."""
    return str(Path(__file__).parent)
