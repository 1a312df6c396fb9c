"""Environments: many copies of one task, stepped in one call."""

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from omad_core import settings
from omad_core.config import EnvConfig
from omad_core.envs.base import VectorEnv
from omad_core.task import TaskSpec
from omad_core.tasks import Task, find

if TYPE_CHECKING:
    from omad_core.envs.bodies import Body


def make_env(task: str, env: EnvConfig, num_envs: int, threads: int = 1) -> VectorEnv:
    """`num_envs` copies of a task, on up to `threads` threads. Raises TaskError, ConfigError."""
    from omad_core.envs.mamujoco import MujocoEnv

    return MujocoEnv(*_mamujoco(task, _frozen(env)), num_envs, threads)


def make_spec(task: str, env: EnvConfig) -> TaskSpec:
    """Shapes and bounds of a task, without stepping it. Raises TaskError, ConfigError."""
    return _mamujoco(task, _frozen(env))[0]


def _frozen(env: EnvConfig) -> str:
    """The settings as a key to remember by."""
    return json.dumps(settings.to_dict(env), sort_keys=True)


@lru_cache(maxsize=64)
def _mamujoco(name: str, frozen: str) -> "tuple[TaskSpec, Body]":
    from omad_core.envs import bodies

    task: Task = find(name)
    env = settings.from_dict(EnvConfig, json.loads(frozen))
    return bodies.read(task, env.agent_obsk, env.args)
