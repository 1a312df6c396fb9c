"""From `module:factory` to a PettingZoo environment: import it, look at its spaces, or say what does not fit."""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from pettingzoo import AECEnv

from omad_core.envs.arguments import checked
from omad_core.errors import ConfigError, TaskError
from omad_core.task import TaskSpec

OURS: dict[str, Any] = {"team_reward": "sum", "max_episode_steps": 1000}
"""Arguments in `env.args` that are not the factory's, with their defaults."""


@dataclass(frozen=True)
class Factory:
    """How to build one more environment of a task, and the rules chosen for it."""

    build: Callable[[], Any]
    team_reward: str
    """`sum` or `mean`."""
    has_state: bool
    """Whether the environment tells its global state itself."""


def describe(task: str, args: Mapping[str, Any]) -> tuple[TaskSpec, Factory]:
    """Build one environment of `module:factory`, look at it and drop it. Raises TaskError, ConfigError."""
    ours = checked({name: value for name, value in args.items() if name in OURS}, OURS, task)
    if ours["team_reward"] not in ("sum", "mean"):
        raise ConfigError(f"env.args.team_reward = {ours['team_reward']!r} is not one of sum, mean")
    theirs = {name: value for name, value in args.items() if name not in OURS}
    build = _builder(task, theirs)
    env = build()
    try:
        _refuse_misfits(task, env)
        env.reset(seed=0)
        state_dim = _state_dim(env)
        horizon = ours["max_episode_steps"] if "max_episode_steps" in args else _horizon(env)
        return _spec(task, env, theirs, horizon, state_dim), Factory(
            build, ours["team_reward"], state_dim is not None
        )
    finally:
        env.close()


def _builder(task: str, args: Mapping[str, Any]) -> Callable[[], Any]:
    module_name, _, factory_name = task.partition(":")
    if not module_name.strip(".") or not factory_name:
        raise TaskError(f"task {task!r} is not of the form module:factory, such as my_worlds:make")
    factory = getattr(_module(task, module_name), factory_name, None)
    if not callable(factory):
        raise TaskError(
            f"task {task!r}: module {module_name} has no function {factory_name!r}; check its name"
        )
    try:
        inspect.signature(factory).bind(**args)
    except TypeError as error:
        raise ConfigError(
            f"env.args do not fit {task}: {error}; its arguments: {inspect.signature(factory)}"
        ) from None
    return lambda: factory(**args)


def _module(task: str, name: str) -> Any:
    # An installed command does not look in the working folder by itself; installed packages come first.
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise TaskError(
            f"task {task!r}: cannot import {name!r} ({error}); run where it can be imported, or install it"
        ) from error


def _refuse_misfits(task: str, env: Any) -> None:
    """Raise TaskError for what is no ParallelEnv with agents, or has spaces other than boxes."""
    if isinstance(env, AECEnv) or not hasattr(env, "possible_agents") or not hasattr(env, "step"):
        raise TaskError(
            f"task {task!r} is not a PettingZoo ParallelEnv but {type(env).__name__}; use its parallel_env factory"
        )
    if not env.possible_agents:
        raise TaskError(f"task {task!r} has no possible_agents; they must be known before the first reset")
    for agent in env.possible_agents:
        _refuse_space(task, f"actions of {agent}", env.action_space(agent))
        _refuse_space(task, f"observations of {agent}", env.observation_space(agent))
        space = env.action_space(agent)
        if not space.is_bounded() or not np.issubdtype(space.dtype, np.floating):
            raise TaskError(f"task {task!r}: actions of {agent} must be fractions within bounds, not {space}")


def _refuse_space(task: str, what: str, space: Any) -> None:
    if not isinstance(space, Box):
        raise TaskError(
            f"task {task!r}: {what} are {space}, but only Box is supported; diffusion policies act continuously"
        )


def _state_dim(env: Any) -> int | None:
    """Width of the environment's own global state, if it has one."""
    try:
        return int(np.asarray(env.state(), dtype=np.float64).size)
    except (NotImplementedError, AttributeError):
        return None


def _horizon(env: Any) -> int:
    inner = getattr(env, "unwrapped", env)
    found = [getattr(inner, name, None) for name in ("max_cycles", "max_episode_steps")]
    return next((steps for steps in found if isinstance(steps, int) and steps > 0), OURS["max_episode_steps"])


def _spec(task: str, env: Any, args: Mapping[str, Any], horizon: int, state_dim: int | None) -> TaskSpec:
    actions = [env.action_space(agent) for agent in env.possible_agents]
    obs_dims = tuple(int(np.prod(env.observation_space(agent).shape)) for agent in env.possible_agents)
    given = "".join(f", {name}={value}" for name, value in sorted(args.items()))
    return TaskSpec(
        name=task,
        env_id=f"{task}{given}",
        versions=_versions(task),
        agents=tuple(str(agent) for agent in env.possible_agents),
        obs_dims=obs_dims,
        action_dims=tuple(int(np.prod(space.shape)) for space in actions),
        action_low=tuple(tuple(space.low.reshape(-1).tolist()) for space in actions),
        action_high=tuple(tuple(space.high.reshape(-1).tolist()) for space in actions),
        state_dim=sum(obs_dims) if state_dim is None else state_dim,
        horizon=horizon,
        terminates=True,
        resumable=hasattr(env, "save_state") and hasattr(env, "restore_state"),
    )


def _versions(task: str) -> dict[str, str]:
    """Versions of PettingZoo and of the package that the factory comes from, where it has one."""
    found = {"pettingzoo": version("pettingzoo")}
    package = task.partition(":")[0].partition(".")[0]
    try:
        return {**found, package: version(package)}
    except PackageNotFoundError:
        return found
