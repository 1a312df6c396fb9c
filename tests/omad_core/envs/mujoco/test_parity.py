"""Every MAMuJoCo task equals gymnasium-robotics: same seeds and actions, same numbers."""

import contextlib
import io
from inspect import signature
from typing import Any

import numpy as np
import pytest
from gymnasium.envs.mujoco import MujocoEnv

from omad_core.config import EnvConfig
from omad_core.envs import make_spec
from omad_core.envs.base import StepRaised
from omad_core.envs.catalog import TASKS
from omad_core.envs.unsupported_arguments import MUJOCO
from omad_core.errors import ConfigError
from omad_core.task import TaskSpec

with contextlib.redirect_stderr(io.StringIO()):
    from gymnasium_robotics import mamujoco_v1

MAMUJOCO = [name for name, task in TASKS.items() if task.kind == "mamujoco"]
STEPS = 500


def in_units(reference: Any, actions: np.ndarray) -> dict[str, np.ndarray]:
    """One environment's joint action [A, U] as the reference takes it, in the reference's own boxes."""
    scaled = {}
    for row, name in zip(actions, reference.possible_agents, strict=True):
        low, high = (end.astype(np.float64) for end in box(reference, name))
        scaled[name] = (high + low) / 2 + (high - low) / 2 * row[: len(low)]
    return scaled


def box(reference: Any, agent: str) -> tuple[np.ndarray, np.ndarray]:
    space = reference.action_space(agent)
    return space.low, space.high


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
        local, rewards, terminated, truncated, _ = reference.step(in_units(reference, actions[0]))
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
def test_the_boxes_of_the_actions_are_those_of_the_reference(task: str, mamujoco_reference: Any) -> None:
    spec, reference = make_spec(task, EnvConfig()), mamujoco_reference(task)
    for name, low, high in zip(spec.agents, spec.action_low, spec.action_high, strict=True):
        assert (low, high) == tuple(tuple(end.tolist()) for end in box(reference, name))


@pytest.mark.parametrize("task", MAMUJOCO)
def test_actions_beyond_the_box_do_what_they_do_in_the_reference(
    task: str, build: Any, mamujoco_reference: Any, draw_actions: Any
) -> None:
    run_beside(build(task), mamujoco_reference(task), draw_actions, seed=4, steps=60, scale=1.5)


@pytest.mark.parametrize("task", MAMUJOCO)
def test_a_long_episode_equals_the_reference_in_one_piece(
    task: str, build: Any, mamujoco_reference: Any, draw_actions: Any
) -> None:
    args = {"terminate_when_unhealthy": False} if TASKS[task].terminates else {}
    env, reference = build(task, env=EnvConfig(args=args)), mamujoco_reference(task, **args)
    assert run_beside(env, reference, draw_actions, seed=2, steps=STEPS) == 0


def test_an_episode_is_truncated_after_1000_steps_as_in_the_reference(
    build: Any, mamujoco_reference: Any, draw_actions: Any
) -> None:
    env, reference = build("swimmer_2x1"), mamujoco_reference("swimmer_2x1")
    assert run_beside(env, reference, draw_actions, seed=0, steps=999) == 0
    assert run_beside(env, reference, draw_actions, seed=0, steps=1000) == 1


@pytest.mark.parametrize("task", MAMUJOCO)
def test_the_place_is_in_the_state_where_it_is_asked_for(
    task: str, build: Any, mamujoco_reference: Any, draw_actions: Any
) -> None:
    args = {"exclude_current_positions_from_observation": False}
    env = build(task, env=EnvConfig(args=args))
    assert env.spec.state_dim > make_spec(task, EnvConfig()).state_dim
    assert env.spec.obs_dims == make_spec(task, EnvConfig()).obs_dims
    run_beside(env, mamujoco_reference(task, **args), draw_actions, seed=5, steps=30)
    full = build(task, env=EnvConfig(agent_obsk=None, args=args))
    full.reset([0], [1])
    obs, state = full.observe()
    assert all(view.tolist() == state[0].tolist() for view in obs[0])


@pytest.mark.parametrize("task", MAMUJOCO)
@pytest.mark.parametrize("agent_obsk", [0, 2])
def test_other_fields_of_view_equal_the_reference(
    task: str, agent_obsk: int, build: Any, mamujoco_reference: Any, draw_actions: Any
) -> None:
    env = build(task, env=EnvConfig(agent_obsk=agent_obsk))
    run_beside(env, mamujoco_reference(task, agent_obsk), draw_actions, seed=3, steps=20)


OTHER_ARGUMENTS = {
    "hopper": {
        "forward_reward_weight": 2.0,
        "ctrl_cost_weight": 0.5,
        "healthy_reward": 3.0,
        "healthy_z_range": [1.0, 1.3],
        "healthy_angle_range": [-0.1, 0.1],
        "healthy_state_range": [-3.0, 3.0],
        "reset_noise_scale": 0.02,
    },
    "halfcheetah_2x3": {"ctrl_cost_weight": 1.0, "frame_skip": 3, "max_episode_steps": 15},
    "swimmer_2x1": {"forward_reward_weight": 10, "ctrl_cost_weight": 1},
    "walker2d_6x1": {
        "healthy_z_range": [1.1, 1.4],
        "healthy_angle_range": [-0.2, 0.2],
        "healthy_reward": 0.5,
    },
    "ant_2x4": {
        "contact_force_range": [-0.2, 3.0],
        "contact_cost_weight": 0.1,
        "healthy_z_range": [0.4, 0.8],
        "healthy_reward": 2,
    },
    "ant_4x2": {"healthy_z_range": [0.6, 2.0]},
    "ant_2x4d": {"healthy_z_range": [0.6, 2.0], "main_body": 4},
    "humanoid_9_8": {
        "contact_cost_weight": 1e-3,
        "contact_cost_range": [0.0, 0.5],
        "healthy_z_range": [1.2, 1.6],
        "forward_reward_weight": 3.0,
    },
}


@pytest.mark.parametrize("task", OTHER_ARGUMENTS)
def test_other_arguments_mean_what_they_mean_in_the_reference(
    task: str, build: Any, mamujoco_reference: Any, draw_actions: Any
) -> None:
    args = OTHER_ARGUMENTS[task]
    reference = mamujoco_reference(
        task, **{k: tuple(v) if isinstance(v, list) else v for k, v in args.items()}
    )
    env = build(task, env=EnvConfig(args=args))
    ended = run_beside(env, reference, draw_actions, seed=7, steps=100)
    assert ended > 0 or task == "swimmer_2x1"


def test_an_episode_that_may_not_end_goes_on_after_a_fall(
    build: Any, mamujoco_reference: Any, draw_actions: Any
) -> None:
    args = {"terminate_when_unhealthy": False}
    env = build("walker2d_2x3", env=EnvConfig(args=args))
    assert not env.spec.terminates
    assert run_beside(env, mamujoco_reference("walker2d_2x3", **args), draw_actions, seed=1, steps=200) == 0


@pytest.mark.parametrize(("task", "views_are_clipped"), [("hopper", True), ("walker2d_2x3", False)])
def test_fast_joints_are_clipped_in_the_state_and_in_hoppers_views_as_in_the_reference(
    task: str, views_are_clipped: bool, build: Any, mamujoco_reference: Any, draw_actions: Any
) -> None:
    args = {"terminate_when_unhealthy": False}
    env, reference = build(task, env=EnvConfig(args=args)), mamujoco_reference(task, **args)
    speeds, states, views = [], [], []

    def full_force(spec: TaskSpec, rng: np.random.Generator, num_envs: int) -> np.ndarray:
        speeds.append(np.abs(reference.single_agent_env.unwrapped.data.qvel).max())
        obs, state = env.observe()
        states.append(np.abs(state[:, 5:]).max())
        views.append(np.abs(obs).max())
        return np.sign(draw_actions(spec, rng, num_envs))

    run_beside(env, reference, full_force, seed=0, steps=200)
    assert max(speeds) > 11
    assert max(states) == 10
    assert max(views) == (10 if views_are_clipped else pytest.approx(max(speeds)))


@pytest.mark.parametrize("task", ["walker2d_2x3", "ant_4x2", "humanoid_9_8"])
def test_with_full_observation_every_agent_sees_the_state_and_moves_the_same_joints(
    task: str, build: Any, draw_actions: Any
) -> None:
    full, local = build(task, env=EnvConfig(agent_obsk=None)), build(task)
    assert full.spec.action_dims == local.spec.action_dims
    assert full.spec.obs_dims == (full.spec.state_dim,) * full.spec.num_agents
    rng = np.random.default_rng(0)
    for env in (full, local):
        env.reset([0], [3])
    for _ in range(50):
        actions = draw_actions(full.spec, rng, 1)
        seen, expected = full.step(actions), local.step(actions)
        np.testing.assert_array_equal(seen.state, expected.state)
        assert all((view == seen.state[0]).all() for view in seen.obs[0])


def test_actions_beyond_the_box_are_clamped_by_the_physics_and_charged_in_full(build: Any) -> None:
    env = build("hopper", 2, env=EnvConfig(args={"ctrl_cost_weight": 1.0}))
    env.reset([0, 1], [0, 0])
    step = env.step(np.array([[[1.0]] * 3, [[2.0]] * 3]))
    np.testing.assert_array_equal(step.state[0], step.state[1])
    assert step.reward[0] - step.reward[1] == pytest.approx(3 * (4 - 1))


def test_a_body_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="the last body is 13"):
        make_spec("ant_2x4", EnvConfig(args={"main_body": 14}))


@pytest.mark.parametrize("task", MAMUJOCO)
def test_every_argument_of_the_reference_is_taken_or_refused_with_its_reason(
    task: str, mamujoco_reference: Any
) -> None:
    world = type(mamujoco_reference(task).single_agent_env.unwrapped)
    asked = [MujocoEnv.__init__, mamujoco_v1.parallel_env.__init__, world.__init__]
    named = {name: p.default for function in asked for name, p in signature(function).parameters.items()}
    given_by_the_world = {"self", "kwargs", "model_path", "observation_space"}
    for name in named.keys() - given_by_the_world:
        if name in MUJOCO:
            with pytest.raises(ConfigError, match=rf"{name} is not supported by \S+-v5, because"):
                make_spec(task, EnvConfig(args={name: 1}))
        else:
            make_spec(task, EnvConfig(args={name: named[name]}))


def test_what_another_world_has_is_unknown() -> None:
    with pytest.raises(ConfigError, match="unknown argument of Hopper-v5 'include_cvel_in_observation'"):
        make_spec("hopper", EnvConfig(args={"include_cvel_in_observation": True}))


def test_a_deprecated_model_neither_warns_the_user_nor_writes_a_file(
    caplog: pytest.LogCaptureFixture, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_spec("halfcheetah_2x3", EnvConfig(args={"frame_skip": 7}))
    assert caplog.text == ""
    assert list(tmp_path.iterdir()) == []


def test_an_unstable_simulation_is_said_in_the_log_and_writes_no_file(
    build: Any, caplog: pytest.LogCaptureFixture, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    env = build("hopper", 4, threads=2)
    env.reset(range(4), range(4))
    with pytest.raises(
        StepRaised, match="hopper: the team reward was nan at step 1 of the environment"
    ) as told:
        env.step(np.full((4, 3, 1), np.nan))
    assert list(told.value.errors) == [0, 1, 2, 3]
    assert caplog.text.count("unstable") == 4
    assert list(tmp_path.iterdir()) == []
