"""Every MAMuJoCo task equals gymnasium-robotics: same seeds and actions, same numbers."""

from typing import Any

import numpy as np
import pytest

from omad_core.config import EnvConfig
from omad_core.task import TaskSpec
from omad_core.tasks import TASKS

MAMUJOCO = [name for name, task in TASKS.items() if task.kind == "mamujoco"]
STEPS = 500


def in_units(spec: TaskSpec, actions: np.ndarray) -> dict[str, np.ndarray]:
    """One environment's joint action [A, U] as the reference takes it."""
    scaled = {}
    for row, name, low, high in zip(actions, spec.agents, spec.action_low, spec.action_high, strict=True):
        middle, half = (np.array(high) + np.array(low)) / 2, (np.array(high) - np.array(low)) / 2
        scaled[name] = middle + half * row[: len(low)]
    return scaled


def assert_same_view(env: Any, reference: Any, local: dict[str, np.ndarray]) -> None:
    obs, state = env.observe()
    np.testing.assert_allclose(state[0], reference.state(), rtol=0, atol=1e-9)
    for agent, name in enumerate(env.spec.agents):
        width = env.spec.obs_dims[agent]
        np.testing.assert_allclose(obs[0, agent, :width], local[name], rtol=0, atol=1e-9)
        assert not obs[0, agent, width:].any()


def run_beside(env: Any, reference: Any, draw_actions: Any, seed: int, steps: int, scale: float = 1.0) -> int:
    """Step both with the same actions and compare everything. Returns the number of episodes ended."""
    rng, spec, ended = np.random.default_rng(seed), env.spec, 0
    env.reset([0], [seed])
    local, _ = reference.reset(seed=seed)
    assert_same_view(env, reference, local)
    for _ in range(steps):
        actions = scale * draw_actions(spec, rng, 1)
        step = env.step(actions)
        local, rewards, terminated, truncated, _ = reference.step(in_units(spec, actions[0]))
        first = spec.agents[0]
        assert_same_view(env, reference, local)
        np.testing.assert_array_equal(step.obs, env.observe()[0])
        np.testing.assert_array_equal(step.state, env.observe()[1])
        assert step.reward[0] == pytest.approx(rewards[first], rel=0, abs=1e-9)
        assert (step.terminated[0], step.truncated[0]) == (terminated[first], truncated[first])
        if step.terminated[0] or step.truncated[0]:
            ended += 1
            env.reset([0], [seed + ended])
            local, _ = reference.reset(seed=seed + ended)
            assert_same_view(env, reference, local)
    return ended


@pytest.mark.parametrize("task", MAMUJOCO)
def test_a_task_equals_its_reference_over_resets_and_seeds(
    task: str, build: Any, mamujoco_reference: Any, draw_actions: Any
) -> None:
    args = {"max_episode_steps": 120}
    env, reference = build(task, env=EnvConfig(args=args)), mamujoco_reference(task, **args)
    assert env.spec.agents == tuple(reference.possible_agents)
    assert env.spec.num_agents == TASKS[task].agents
    ended = [run_beside(env, reference, draw_actions, seed, STEPS // 2) for seed in (0, 10_000)]
    assert min(ended) >= 1


@pytest.mark.parametrize("task", MAMUJOCO)
@pytest.mark.parametrize("agent_obsk", [0, 2])
def test_other_fields_of_view_equal_the_reference(
    task: str, agent_obsk: int, build: Any, mamujoco_reference: Any, draw_actions: Any
) -> None:
    env = build(task, env=EnvConfig(agent_obsk=agent_obsk))
    run_beside(env, mamujoco_reference(task, agent_obsk), draw_actions, seed=3, steps=20)
