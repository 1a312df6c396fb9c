"""MPE, native: the tasks of `mpe2` with continuous actions, stepped as arrays, in parity with it.

Actions are five an agent (nothing, left, right, down, up), in [0, 1]; the team reward is the sum over the learning
agents. Actions beyond [-1, 1] are clipped, as `mpe2` does. Observations are not rounded to float32.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omad_core.config import EnvConfig
from omad_core.envs.arguments import check_arguments
from omad_core.envs.base import EnvState, FloatArray, Step
from omad_core.envs.catalog import Task
from omad_core.envs.finiteness import check_reward
from omad_core.envs.mpe.particles import ParticleWorld, move, push
from omad_core.envs.mpe.scenarios import Deception, Navigation, Scenario, Sight
from omad_core.envs.rows import Rows
from omad_core.envs.saved_state import check_fit, generator, pack_generator, unpack_generator
from omad_core.envs.scaling import ActionScaling
from omad_core.envs.unsupported_arguments import MPE, SPREAD
from omad_core.errors import ConfigError
from omad_core.task import TaskSpec

RULES_OF = {"mpe2": "1.1.1"}
"""The release whose rules these are."""
ACTIONS = 5
SPREAD_ALONE: dict[str, Any] = {"local_ratio": 0.5, "terminate_on_success": False}
"""What simple_spread takes beside the arguments of both scenarios."""


def scenario(task: Task, env: EnvConfig) -> tuple[TaskSpec, Scenario]:
    """Spec and scenario of a task. Raises ConfigError for arguments that it does not have."""
    if task.scenario == "simple_spread":
        args = check_arguments(
            env.args, {**_known_arguments(task), **SPREAD_ALONE}, "simple_spread_v3", SPREAD
        )
        if not 0 <= args["local_ratio"] <= 1:
            raise ConfigError(f"env.args.local_ratio = {args['local_ratio']} must lie between 0 and 1")
        rules: Scenario = Navigation(
            task.agents, args["local_ratio"], args["terminate_on_success"], _seen(args)
        )
        return _spec(task, rules, f"simple_spread_v3 N={task.agents}", args["max_cycles"]), rules
    args = check_arguments(env.args, _known_arguments(task), "simple_adversary_v3", MPE)
    rules = Deception(task.agents, env.adversary, _seen(args))
    env_id = f"simple_adversary_v3 N={task.agents}, adversary={env.adversary}"
    return _spec(task, rules, env_id, args["max_cycles"]), rules


def _known_arguments(task: Task) -> dict[str, Any]:
    return {"max_cycles": task.horizon, "num_agent_neighbors": None, "num_landmark_neighbors": None}


def _seen(args: Mapping[str, Any]) -> Sight:
    return Sight(args["num_agent_neighbors"], args["num_landmark_neighbors"])


def _spec(task: Task, rules: Scenario, env_id: str, horizon: int) -> TaskSpec:
    count = task.agents
    return TaskSpec(
        name=task.name,
        env_id=env_id,
        versions=dict(RULES_OF),
        agents=rules.names,
        obs_dims=(rules.obs_dim,) * count,
        action_dims=(ACTIONS,) * count,
        action_low=((0.0,) * ACTIONS,) * count,
        action_high=((1.0,) * ACTIONS,) * count,
        state_dim=rules.state_dim,
        horizon=horizon,
        terminates=rules.ends,
    )


class MpeEnv:
    """`num_envs` copies of one MPE task. Implements `VectorEnv`."""

    def __init__(self, spec: TaskSpec, rules: Scenario, num_envs: int) -> None:
        self.spec = spec
        self.num_envs = num_envs
        self._rows = Rows(spec, num_envs)
        self._scale = ActionScaling(spec)
        self._rules = rules
        bodies = rules.agents + rules.scripted
        self._world = ParticleWorld(
            position=np.zeros((num_envs, bodies, 2)),
            velocity=np.zeros((num_envs, bodies, 2)),
            landmarks=np.zeros((num_envs, rules.landmarks, 2)),
            goal=np.zeros(num_envs, dtype=np.int64),
        )
        self._draws = [generator(0) for _ in range(num_envs)]
        self._elapsed = np.zeros(num_envs, dtype=np.int64)

    def reset(self, index: Sequence[int], seeds: Sequence[int]) -> None:
        """Start new episodes, with the very draws of `mpe2`'s `reset(seed=seed)`."""
        for i, seed in zip(self._rows(index), seeds, strict=True):
            draw = self._draws[i] = generator(seed)
            world = self._pick(i)
            if self._rules.has_goal:
                self._world.goal[i] = draw.integers(self._rules.landmarks)
            world.position[:] = draw.uniform(-1, 1, world.position.shape)
            world.landmarks[:] = draw.uniform(-1, 1, world.landmarks.shape)
            world.velocity[:] = 0
            self._elapsed[i] = 0

    def _pick(self, rows: int | slice | NDArray[np.int64]) -> ParticleWorld:
        world = self._world
        return ParticleWorld(
            world.position[rows], world.velocity[rows], world.landmarks[rows], world.goal[rows]
        )

    def observe(self) -> tuple[FloatArray, FloatArray]:
        """Observations [num_envs, A, O] and states [num_envs, S] of all environments as they stand."""
        return self._rules.observe(self._world), self._rules.state(self._world)

    def step(self, actions: FloatArray, index: Sequence[int] | None = None) -> Step:
        """Step the environments `index` (default: all) with actions [n, A, U] in [-1, 1]. Raises StepRaised."""
        rows = self._rows(index)
        self._rows.check(actions, rows)
        picked: slice | NDArray[np.int64] = slice(None) if index is None else rows
        world = self._pick(picked)
        force = push(self._scale(actions.clip(-1, 1)))
        if isinstance(self._rules, Deception):
            adversary = self._rules.script(world, [self._draws[i] for i in rows.tolist()])
            force = np.concatenate([adversary, force], axis=1)
        world = move(world, force, self._rules.collide)
        self._world.position[picked], self._world.velocity[picked] = world.position, world.velocity
        self._elapsed[picked] += 1
        truncated = self._elapsed[picked] >= self.spec.horizon
        terminated = self._rules.ended(world) & ~truncated
        observed = self._rules.observe(world), self._rules.state(world)
        answer = Step(*observed, self._rules.reward(world), terminated, truncated)
        # What is seen is finite where the distances are that the reward is made of.
        check_reward(self.spec.name, rows, self._elapsed[picked], answer)
        return answer

    def save(self, index: int) -> EnvState:
        """Everything that moves, the goal, the generator (a random adversary draws from it) and steps taken."""
        world = {
            name: np.array(array[index])
            for name, array in zip(ParticleWorld._fields, self._world, strict=True)
        }
        return {
            **world,
            "generator": pack_generator(self._draws[index]),
            "elapsed": np.array(self._elapsed[index]),
        }

    def restore(self, index: int, state: EnvState) -> None:
        """Put one environment into a saved state. Raises CheckpointError where it does not fit."""
        check_fit(state, self.save(index), self.spec.name)
        for name, array in zip(ParticleWorld._fields, self._world, strict=True):
            array[index] = state[name]
        self._draws[index] = unpack_generator(state["generator"])
        self._elapsed[index] = state["elapsed"]

    def close(self) -> None:
        """Nothing to free."""
