"""What gymnasium-robotics says of a MAMuJoCo task: model, partition, local views.

Its environment is built once, read, and dropped; no partition is written down here again.
"""

import contextlib
import importlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omad_core.envs.arguments import check_arguments, defaults
from omad_core.envs.catalog import Task
from omad_core.envs.mujoco.warnings_log import reading_a_model
from omad_core.envs.unsupported_arguments import MUJOCO
from omad_core.errors import ConfigError
from omad_core.task import TaskSpec

IntArray = NDArray[np.int64]

HIDES_POSITION = "exclude_current_positions_from_observation"
_PARTS = frozenset(name for name in MUJOCO if name.startswith("include_"))
"""Those that not every world has."""


@dataclass(frozen=True)
class Body:
    """One MuJoCo world and how its joints are shared out among agents."""

    scenario: str
    model: Any
    """`mujoco.MjModel`; stepping does not change it, so all environments share it."""
    frame_skip: int
    dt: float
    """Simulated seconds of one environment step."""
    init_qpos: NDArray[np.float64]
    init_qvel: NDArray[np.float64]
    args: Mapping[str, Any]
    """Every argument of the world, defaults included."""
    actuator_of: IntArray
    """[nu] for each actuator, its place in the padded and flattened joint action [A * U]."""
    views: tuple[IntArray, ...]
    """For each agent, the places of its observation in the global state."""
    full_view: bool
    """Whether agents see the global state itself (`agent_obsk = none`)."""


def read(task: Task, agent_obsk: int | None, args: Mapping[str, Any]) -> tuple[TaskSpec, Body]:
    """Spec and body of a task. Raises ConfigError for arguments that the world does not have."""
    _import_robotics()
    known = _known_arguments(task)
    unsupported = {name: why for name, why in MUJOCO.items() if name in known or name not in _PARTS}
    supported = {name: default for name, default in known.items() if name not in unsupported}
    settings = check_arguments(args, supported, f"{task.scenario}-v5", unsupported)
    # Read without the position, which no local view has: Hopper's cannot be identified in a wider state.
    env = original(task, agent_obsk, settings | {HIDES_POSITION: True})
    try:
        _refuse_body(env, settings)
        views = _views(env, agent_obsk, _count_positions(env, settings))
        return _spec(task, agent_obsk, env, settings, views), _body(
            task, env, settings, views, agent_obsk is None
        )
    finally:
        env.close()


def original(task: Task, agent_obsk: int | None, args: Mapping[str, Any]) -> Any:
    """The environment of gymnasium-robotics itself, which ours must equal.

    With no agent_obsk it makes one agent of all joints; here the agents stay and see all.
    """
    with reading_a_model():
        return _import_robotics().parallel_env(
            task.scenario,
            task.partition,
            agent_obsk=0 if agent_obsk is None else agent_obsk,
            agent_factorization=factorization(task),
            **args,
        )


def factorization(task: Task) -> dict[str, Any] | None:
    """The partition, for those that gymnasium-robotics does not know by name: one joint an agent."""
    if (task.scenario, task.partition) != ("Walker2d", "6x1"):
        return None
    obsk = importlib.import_module("gymnasium_robotics.envs.multiagent_mujoco.obsk")
    parts, edges, everywhere = obsk.get_parts_and_edges("Walker2d", "2x3")
    joints = sorted((joint for part in parts for joint in part), key=lambda joint: int(joint.act_ids))
    return {"partition": [(joint,) for joint in joints], "edges": edges, "globals": everywhere}


def _import_robotics() -> Any:
    """The package's `mamujoco_v1`; importing it may print news about unrelated environments."""
    with contextlib.redirect_stderr(io.StringIO()):
        return importlib.import_module("gymnasium_robotics").mamujoco_v1


def _known_arguments(task: Task) -> dict[str, Any]:
    registry = importlib.import_module("gymnasium").registry
    module, _, name = registry[f"{task.scenario}-v5"].entry_point.partition(":")
    world = getattr(importlib.import_module(module), name)
    return {**defaults(world.__init__), "max_episode_steps": task.horizon}


def _refuse_body(env: Any, args: Mapping[str, Any]) -> None:
    last = env.single_agent_env.unwrapped.model.nbody - 1
    if args.get("main_body", 1) > last:
        raise ConfigError(f"env.args.main_body = {args['main_body']} does not exist; the last body is {last}")


def _count_positions(env: Any, args: Mapping[str, Any]) -> int:
    """How many coordinates of the place stand before all others in the state: none, unless asked for."""
    hidden: int = env.single_agent_env.unwrapped.observation_structure["skipped_qpos"]
    return 0 if args[HIDES_POSITION] else hidden


def _views(env: Any, agent_obsk: int | None, shown: int) -> tuple[IntArray, ...]:
    places = np.arange(env.state().size)
    if agent_obsk is None:
        return (np.arange(places.size + shown),) * len(env.possible_agents)
    # Hopper's views clip even these places, at 10, which is its last one.
    local = env.map_global_state_to_local_observations(places)
    return tuple(np.asarray(local[agent], dtype=np.int64) + shown for agent in env.possible_agents)


def _spec(
    task: Task, agent_obsk: int | None, env: Any, args: Mapping[str, Any], views: tuple[IntArray, ...]
) -> TaskSpec:
    spaces = [env.action_space(agent) for agent in env.possible_agents]
    joints = "none" if agent_obsk is None else agent_obsk
    return TaskSpec(
        name=task.name,
        env_id=f"{task.scenario}-v5 {task.partition}, agent_obsk={joints}",
        versions={name: version(name) for name in ("mujoco", "gymnasium", "gymnasium-robotics")},
        agents=tuple(env.possible_agents),
        obs_dims=tuple(view.size for view in views),
        action_dims=tuple(space.shape[0] for space in spaces),
        action_low=tuple(tuple(space.low.tolist()) for space in spaces),
        action_high=tuple(tuple(space.high.tolist()) for space in spaces),
        state_dim=env.state().size + _count_positions(env, args),
        horizon=env.single_agent_env.spec.max_episode_steps,
        terminates=task.terminates and bool(args["terminate_when_unhealthy"]),
    )


def _body(
    task: Task, env: Any, args: Mapping[str, Any], views: tuple[IntArray, ...], full_view: bool
) -> Body:
    world = env.single_agent_env.unwrapped
    return Body(
        scenario=task.scenario,
        model=world.model,
        frame_skip=world.frame_skip,
        dt=world.dt,
        init_qpos=world.init_qpos,
        init_qvel=world.init_qvel,
        args=args,
        actuator_of=_actuator_of(env),
        views=views,
        full_view=full_view,
    )


def _actuator_of(env: Any) -> IntArray:
    """Where each actuator's value lies in the flattened joint action: the places themselves, mapped."""
    width = max(env.action_space(agent).shape[0] for agent in env.possible_agents)
    places = np.arange(len(env.possible_agents) * width, dtype=np.float64).reshape(-1, width)
    joint = env.map_local_actions_to_global_action(dict(zip(env.possible_agents, places, strict=True)))
    return np.asarray(joint, dtype=np.int64)
