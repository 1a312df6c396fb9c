"""Environments: many copies of one task, stepped in one call. Simulators are imported when they are needed."""

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from omad_core import settings
from omad_core.config import EnvConfig
from omad_core.envs.base import VectorEnv
from omad_core.envs.catalog import find
from omad_core.errors import ConfigError
from omad_core.task import TaskSpec

if TYPE_CHECKING:
    from omad_core.envs.mujoco.bodies import Body
    from omad_core.envs.pettingzoo.factory import Factory


def make_env(task: str, env: EnvConfig | None = None, num_envs: int = 1, threads: int = 1) -> VectorEnv:
    """`num_envs` copies of a task of the catalog, or of a PettingZoo environment `module:factory`.

    Without `env` it is EnvConfig(). Up to `threads` threads step MuJoCo; the others have no use for them. Raises
    TaskError, ConfigError.
    """
    env = env or EnvConfig()
    if ":" in task:
        from omad_core.envs.pettingzoo.env import PettingZooEnv

        return PettingZooEnv(*_pettingzoo(task, _frozen(env)), num_envs)
    _refuse_observations_as_state(task, env)
    if find(task).kind == "mpe":
        from omad_core.envs.mpe.env import MpeEnv, scenario

        return MpeEnv(*scenario(find(task), env), num_envs)
    from omad_core.envs.mujoco.env import MujocoEnv

    return MujocoEnv(*_mamujoco(task, _frozen(env)), num_envs, threads)


def make_spec(task: str, env: EnvConfig) -> TaskSpec:
    """Shapes and bounds of a task. Raises TaskError, ConfigError."""
    if ":" in task:
        return _pettingzoo(task, _frozen(env))[0]
    _refuse_observations_as_state(task, env)
    if find(task).kind == "mpe":
        from omad_core.envs.mpe.env import scenario

        return scenario(find(task), env)[0]
    return _mamujoco(task, _frozen(env))[0]


def _refuse_observations_as_state(task: str, env: EnvConfig) -> None:
    if env.state == "observations":
        raise ConfigError(
            f"env.state=observations is for environments module:factory; {task} has its own state"
        )


def _frozen(env: EnvConfig) -> str:
    """The settings as a key to remember by."""
    return json.dumps(settings.to_dict(env), sort_keys=True)


def _thaw(frozen: str) -> EnvConfig:
    return settings.from_dict(EnvConfig, json.loads(frozen))


@lru_cache(maxsize=64)
def _mamujoco(task: str, frozen: str) -> "tuple[TaskSpec, Body]":
    from omad_core.envs.mujoco import bodies

    env = _thaw(frozen)
    return bodies.read(find(task), env.agent_obsk, env.args)


@lru_cache(maxsize=64)
def _pettingzoo(task: str, frozen: str) -> "tuple[TaskSpec, Factory]":
    from omad_core.envs.pettingzoo import factory

    env = _thaw(frozen)
    return factory.describe(task, env.args, env.state)
