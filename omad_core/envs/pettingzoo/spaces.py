"""The spaces of a task's agents: which are supported, and whether they are still the ones that were seen first."""

from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Box
from pettingzoo import AECEnv

from omad_core.envs.pettingzoo.border import Border
from omad_core.errors import EnvironmentFailed, TaskError


class Spaces(NamedTuple):
    """Of one agent."""

    observation: Any
    action: Any


def read(border: Border, env: Any) -> dict[Any, Spaces]:
    """By agent, in the order of possible_agents. Raises TaskError for what is no ParallelEnv with bounded boxes."""
    task = border.task
    if env is None:
        raise TaskError(f"task {task!r} gives None and no environment; its factory must return one")
    with border.during("possible_agents"):
        if isinstance(env, AECEnv) or not hasattr(env, "possible_agents") or not hasattr(env, "step"):
            raise TaskError(
                f"task {task!r} is not a PettingZoo ParallelEnv but {type(env).__name__}; use its parallel_env factory"
            )
        agents = list(env.possible_agents)
    if not agents:
        raise TaskError(f"task {task!r} has no possible_agents; they must be known before the first reset")
    spaces = {agent: of_agent(border, env, agent) for agent in agents}
    for agent, (observation, action) in spaces.items():
        _refuse_space(task, f"actions of {agent}", action)
        _refuse_space(task, f"observations of {agent}", observation)
        if not action.is_bounded() or not np.issubdtype(action.dtype, np.floating):
            raise TaskError(
                f"task {task!r}: actions of {agent} must be fractions within bounds, not {action}"
            )
    return spaces


def of_agent(border: Border, env: Any, agent: Any) -> Spaces:
    """What the environment answers now."""
    with border.during("observation_space", agent=agent):
        observation = env.observation_space(agent)
    with border.during("action_space", agent=agent):
        return Spaces(observation, env.action_space(agent))


def check_same(task: str, agent: Any, now: Spaces, first: Spaces) -> None:
    """Raise EnvironmentFailed unless an agent's spaces are what they were."""
    for what, space, known in zip(("observation", "action"), now, first, strict=True):
        if space is not known and space != known:
            raise EnvironmentFailed(
                f"{task}: the {what} space of agent {agent} was {known} and is now {space}; it must stay as it is"
            )


def _refuse_space(task: str, what: str, space: Any) -> None:
    if not isinstance(space, Box):
        raise TaskError(
            f"task {task!r}: {what} are {space}, but only Box is supported; diffusion policies act continuously"
        )
