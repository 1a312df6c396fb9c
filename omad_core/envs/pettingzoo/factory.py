"""What is known of a task `module:factory` before it is trained on: an environment is built, looked at and dropped."""

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np

from omad_core.envs.arguments import check_arguments
from omad_core.envs.pettingzoo import spaces
from omad_core.envs.pettingzoo.border import Border
from omad_core.envs.pettingzoo.factory_import import builder
from omad_core.envs.pettingzoo.spaces import Spaces
from omad_core.errors import ConfigError, EnvironmentFailed
from omad_core.task import TaskSpec

log = logging.getLogger(__name__)

OURS: dict[str, Any] = {"team_reward": "sum", "max_episode_steps": 1000}
"""Arguments in `env.args` that are not the factory's, with their defaults."""
StateRule = Literal["auto", "own", "observations"]


@dataclass(frozen=True)
class Factory:
    """How to build one more environment of a task, and the rules chosen for it."""

    build: Callable[[], Any]
    spaces: Mapping[Any, Spaces]
    """By agent, in the order of axis A."""
    team_reward: str
    """`sum` or `mean`."""
    state: StateRule
    """`auto`: its own, asked for only where something can use it."""
    seeded: bool
    """Whether `reset` takes a seed."""


def describe(task: str, args: Mapping[str, Any], state: StateRule) -> tuple[TaskSpec, Factory]:
    """Build one environment of `module:factory`, look at it and drop it.

    Raises TaskError, ConfigError, and EnvironmentFailed for what the user's code raises.
    """
    ours = check_arguments({name: value for name, value in args.items() if name in OURS}, OURS, task)
    if ours["team_reward"] not in ("sum", "mean"):
        raise ConfigError(f"env.args.team_reward = {ours['team_reward']!r} is not one of sum, mean")
    theirs = {name: value for name, value in args.items() if name not in OURS}
    border = Border(task)
    build = builder(border, theirs)
    env = build()
    try:
        by_agent = spaces.read(border, env)
        seeded = _takes_seed(border, env)
        with border.during("reset", watched=True):
            env.reset(**({"seed": 0} if seeded else {}))
        state_dim = None if state == "observations" else _state_dim(border, env, must=state == "own")
        horizon = ours["max_episode_steps"] if "max_episode_steps" in args else _horizon(border, env)
        with border.during("save_state"):
            resumable = hasattr(env, "save_state") and hasattr(env, "restore_state")
        rule: StateRule = "observations" if state_dim is None else state
        spec = _spec(task, by_agent, theirs, horizon, state_dim, resumable)
        return spec, Factory(build, by_agent, ours["team_reward"], rule, seeded)
    finally:
        close(border, env)


def close(border: Border, env: Any) -> None:
    """Close an environment; that it cannot be closed is logged and hides nothing else."""
    try:
        with border.during("close"):
            if hasattr(env, "close"):
                env.close()
    except EnvironmentFailed as failed:
        log.warning("%s", failed, exc_info=log.isEnabledFor(logging.DEBUG))


def _takes_seed(border: Border, env: Any) -> bool:
    try:
        parameters = inspect.signature(env.reset).parameters
    except (TypeError, ValueError, AttributeError):
        return True
    seeded = "seed" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if not seeded:
        log.warning("%s: its reset takes no seed, so the same seed does not repeat an episode", border.task)
    return seeded


def _state_dim(border: Border, env: Any, must: bool) -> int | None:
    """Width of the environment's own global state, if it has one. Raises ConfigError where it `must` have one."""
    try:
        with border.during("state"):
            return int(np.asarray(env.state(), dtype=np.float64).size)
    except EnvironmentFailed as failed:
        if not isinstance(failed.__cause__, NotImplementedError | AttributeError):
            raise
        if must:
            raise ConfigError(
                f"env.state=own, but {border.task} has no state(); leave env.state at auto"
            ) from failed
        return None


def _horizon(border: Border, env: Any) -> int:
    with border.during("max_cycles"):
        inner = getattr(env, "unwrapped", env)
        limits = [getattr(inner, name, None) for name in ("max_cycles", "max_episode_steps")]
    return next(
        (steps for steps in limits if isinstance(steps, int) and steps > 0), OURS["max_episode_steps"]
    )


def _spec(
    task: str,
    by_agent: Mapping[Any, Spaces],
    args: Mapping[str, Any],
    horizon: int,
    state_dim: int | None,
    resumable: bool,
) -> TaskSpec:
    actions = [each.action for each in by_agent.values()]
    obs_dims = tuple(int(np.prod(each.observation.shape)) for each in by_agent.values())
    given = "".join(f", {name}={value}" for name, value in sorted(args.items()))
    return TaskSpec(
        name=task,
        env_id=f"{task}{given}",
        versions=_versions(task),
        agents=tuple(str(agent) for agent in by_agent),
        obs_dims=obs_dims,
        action_dims=tuple(int(np.prod(space.shape)) for space in actions),
        action_low=tuple(tuple(space.low.reshape(-1).tolist()) for space in actions),
        action_high=tuple(tuple(space.high.reshape(-1).tolist()) for space in actions),
        state_dim=sum(obs_dims) if state_dim is None else state_dim,
        horizon=horizon,
        terminates=True,
        resumable=resumable,
    )


def _versions(task: str) -> dict[str, str]:
    """Versions of PettingZoo and of the package that the factory comes from, where it has one."""
    versions = {"pettingzoo": version("pettingzoo")}
    package = task.partition(":")[0].partition(".")[0]
    try:
        return {**versions, package: version(package)}
    except PackageNotFoundError:
        return versions
