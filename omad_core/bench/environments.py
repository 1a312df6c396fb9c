"""Environment steps a second: ours, the original's, and of MuJoCo's physics alone on the very same rollout."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omad_core.bench.stopwatch import Action, in_turns
from omad_core.config import EnvConfig
from omad_core.envs import make_env
from omad_core.envs.base import EnvState, VectorEnv
from omad_core.envs.catalog import Task, find

STEPS = 256
"""Vector steps of one rollout."""


@dataclass(frozen=True)
class EnvironmentSpeeds:
    """Environment steps a second of processor time, on one core, with random actions."""

    num_envs: int
    ours: float
    original: float | None
    """Of gymnasium-robotics or mpe2, whose environment it is; None for others."""
    physics: float | None
    """`mj_step` alone with the same controls from the same states; MuJoCo only."""
    threads: int
    threaded: float
    """By number of threads: steps a second of wall time."""

    @property
    def over_original(self) -> float | None:
        return self.ours / self.original if self.original else None

    @property
    def share_of_physics(self) -> float | None:
        return self.ours / self.physics if self.physics else None


class Rollout:
    """The same random actions every time, from the same starts; ended episodes begin anew."""

    def __init__(self, env: VectorEnv, steps: int = STEPS) -> None:
        self.env, rng = env, np.random.default_rng(0)
        shape = (steps, env.num_envs, env.spec.num_agents, env.spec.action_width)
        self.actions = rng.uniform(-1.0, 1.0, shape)
        self.starts: dict[int, list[tuple[int, EnvState]]] = {}
        """Step -> environments that began anew after it, and the state they began in."""

    def run(self, note: bool = False) -> int:
        """All steps; with `note`, the states that episodes begin in are kept."""
        every = range(self.env.num_envs)
        self._begin(-1, list(every), note)
        for step, actions in enumerate(self.actions):
            answer = self.env.step(actions)
            ended = np.flatnonzero(answer.terminated | answer.truncated).tolist()
            if ended:
                self._begin(step, ended, note)
        return len(self.actions) * self.env.num_envs

    def _begin(self, step: int, index: list[int], note: bool) -> None:
        self.env.reset(index, [1_000_003 * i + step + 1 for i in index])
        if note:
            self.starts[step] = [(i, self.env.save(i)) for i in index]


def measure(
    task: str, env: EnvConfig, num_envs: int = 64, threads: int = 1, seconds: float = 10.0
) -> EnvironmentSpeeds:
    """Time our environments, the original and bare physics in turns."""
    ours = make_env(task, env, num_envs)
    threaded = make_env(task, env, num_envs, threads)
    try:
        rollout = Rollout(ours)
        actions: dict[str, Action] = {"ours": rollout.run, "threaded": Rollout(threaded).run}
        entry = None if ":" in task else find(task)
        if entry is not None:
            actions["original"] = _original(entry, env)
        if entry is not None and entry.kind == "mamujoco":
            rollout.run(note=True)
            actions["physics"] = _physics(entry, env, rollout)
        times = in_turns(actions, seconds)
    finally:
        ours.close()
        threaded.close()
    return EnvironmentSpeeds(
        num_envs=num_envs,
        ours=times["ours"].per_second,
        original=times["original"].per_second if "original" in times else None,
        physics=times["physics"].per_second if "physics" in times else None,
        threads=threads,
        threaded=1.0 / times["threaded"].wall,
    )


def _original(task: Task, config: EnvConfig) -> Action:
    """Some steps of one environment of the package that ours is in parity with."""
    env = _build(task, config)
    rng = np.random.default_rng(0)
    spaces = {agent: env.action_space(agent) for agent in env.possible_agents}
    drawn = [
        {a: rng.uniform(s.low, s.high).astype(s.dtype) for a, s in spaces.items()} for _ in range(4 * STEPS)
    ]

    def run() -> int:
        env.reset(seed=0)
        for actions in drawn:
            _, _, terminated, truncated, _ = env.step(actions)
            if any(terminated.values()) or any(truncated.values()):
                env.reset()
        return len(drawn)

    return run


def _build(task: Task, config: EnvConfig) -> Any:
    if task.kind == "mpe":
        from importlib import import_module

        module = import_module(
            f"mpe2.{'simple_spread_v3' if task.scenario == 'simple_spread' else 'simple_adversary_v3'}"
        )
        return module.parallel_env(N=task.agents, continuous_actions=True, **config.args)
    from omad_core.envs.mujoco import bodies

    return bodies.original(task, config.agent_obsk, config.args)


def _physics(task: Task, config: EnvConfig, rollout: Rollout) -> Action:
    """`mj_step` alone on the controls and starts of a rollout that was noted."""
    import mujoco

    from omad_core.envs.mujoco import bodies
    from omad_core.envs.mujoco.env import PHYSICS
    from omad_core.envs.scaling import ActionScaling

    spec, body = bodies.read(task, config.agent_obsk, config.args)
    scale: Callable[[NDArray[np.float64]], NDArray[np.float64]] = ActionScaling(spec)
    flat = [scale(actions).reshape(len(actions), -1) for actions in rollout.actions]
    controls = [joint.take(body.actuator_of, axis=1) for joint in flat]
    data = [mujoco.MjData(body.model) for _ in range(rollout.env.num_envs)]

    def begin(step: int) -> None:
        for i, state in rollout.starts.get(step, ()):
            mujoco.mj_setState(body.model, data[i], state["physics"], PHYSICS)

    def run() -> int:
        begin(-1)
        for step, control in enumerate(controls):
            for each, values in zip(data, control, strict=True):
                each.ctrl[:] = values
                mujoco.mj_step(body.model, each, body.frame_skip)
            begin(step)
        return len(controls) * len(data)

    return run
