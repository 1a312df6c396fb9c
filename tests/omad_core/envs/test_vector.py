"""What every vector environment promises, whatever simulates it."""

from typing import Any

import numpy as np
import pytest

from omad_core.config import EnvConfig
from omad_core.envs import make_env, make_spec
from omad_core.envs.base import EnvState, StepRaised
from omad_core.envs.catalog import TASKS
from omad_core.errors import CheckpointError, ConfigError, NotFinite, OmadError, TaskError

RELAY = "toy_worlds:saving_relay"
EVERY = [*TASKS, RELAY]
# One of each kind of world: no forces, forces, random adversary, a user's own.
KINDS = ["hopper", "ant_4x2", "humanoid_9_8", "simple_adversary_n2", RELAY]
RANDOM = EnvConfig(adversary="random")


@pytest.fixture(autouse=True)
def importable_toys(monkeypatch: pytest.MonkeyPatch, toys: str) -> None:
    monkeypatch.syspath_prepend(toys)


def config(task: str) -> EnvConfig:
    return EnvConfig(args={"length": 50}) if task == RELAY else RANDOM


def trajectory(env: Any, actions: np.ndarray, index: list[int] | None = None) -> list[tuple[Any, ...]]:
    """Everything that steps with actions [T, n, A, U] answer, to compare exactly."""
    return [tuple(array.tolist() for array in env.step(joint, index)) for joint in actions]


def draw(env: Any, steps: int, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (steps, count, env.spec.num_agents, env.spec.action_width))


@pytest.mark.parametrize("task", EVERY)
def test_a_restored_environment_continues_bit_for_bit(task: str, build: Any) -> None:
    env = build(task, 2, env=config(task))
    env.reset([0, 1], [5, 6])
    trajectory(env, draw(env, 10, 2))
    saved = env.save(1)
    seen = [array[1].tolist() for array in env.observe()]
    actions = draw(env, 15, 1, seed=1)
    expected = trajectory(env, actions, [1])
    other = build(task, 3, env=config(task))
    other.reset([0, 1, 2], [7, 8, 9])
    trajectory(other, draw(other, 4, 3, seed=2))
    other.restore(2, saved)
    assert [array[2].tolist() for array in other.observe()] == seen
    assert trajectory(other, actions, [2]) == expected


SHORT = {"hopper": "max_episode_steps", "simple_spread_n3": "max_cycles", RELAY: "max_episode_steps"}


@pytest.mark.parametrize("task", SHORT)
def test_a_restored_environment_is_truncated_when_the_saved_one_would_have_been(
    task: str, build: Any
) -> None:
    short = EnvConfig(args={**config(task).args, SHORT[task]: 7})
    env, other = build(task, env=short), build(task, env=short)
    env.reset([0], [1])
    trajectory(env, draw(env, 3, 1))
    other.restore(0, env.save(0))
    truncated = [bool(other.step(joint).truncated[0]) for joint in draw(other, 4, 1, seed=1)]
    assert truncated == [False, False, False, True]


@pytest.mark.parametrize("task", KINDS)
def test_a_saved_state_is_made_of_arrays_and_is_not_touched_by_later_steps(task: str, build: Any) -> None:
    env = build(task, env=config(task))
    env.reset([0], [5])
    saved = env.save(0)
    assert all(isinstance(array, np.ndarray) and array.dtype.kind in "fiub" for array in saved.values())
    before = {name: array.tolist() for name, array in saved.items()}
    trajectory(env, draw(env, 5, 1))
    assert {name: array.tolist() for name, array in saved.items()} == before


@pytest.mark.parametrize("task", EVERY)
def test_environments_of_one_vector_do_what_each_does_alone(task: str, build: Any) -> None:
    together = build(task, 3, env=config(task))
    together.reset([0, 1, 2], [1, 2, 3])
    actions = draw(together, 20, 3)
    courses = trajectory(together, actions)
    for i, seed in enumerate([1, 2, 3]):
        alone = build(task, 1, env=config(task))
        alone.reset([0], [seed])
        mine = trajectory(alone, actions[:, i : i + 1])
        assert mine == [tuple([array[i]] for array in step) for step in courses]


@pytest.mark.parametrize("task", ["hopper", "ant_4x2"])
def test_threads_change_nothing(task: str, build: Any) -> None:
    one, three = build(task, 5), build(task, 5, threads=3)
    for env in (one, three):
        env.reset(range(5), range(5))
    actions = draw(one, 20, 5)
    assert trajectory(one, actions) == trajectory(three, actions)
    assert trajectory(one, actions[:, :2], [4, 1]) == trajectory(three, actions[:, :2], [4, 1])


@pytest.mark.parametrize("task", KINDS)
def test_stepping_some_leaves_the_others_as_they_were(task: str, build: Any) -> None:
    env, full = build(task, 3, env=config(task)), build(task, 3, env=config(task))
    for each in (env, full):
        each.reset([0, 1, 2], [1, 2, 3])
    actions = draw(env, 8, 3)
    chosen = trajectory(env, actions[:, [2, 0]], [2, 0])
    assert env.observe()[0][1].tolist() == full.observe()[0][1].tolist()
    everything = trajectory(full, actions)
    assert chosen == [tuple([array[2], array[0]] for array in step) for step in everything]
    assert trajectory(env, actions[:, 1:2], [1]) == [
        tuple([array[1]] for array in step) for step in everything
    ]


@pytest.mark.parametrize("task", KINDS)
def test_an_episode_is_determined_by_its_seed_alone(task: str, build: Any) -> None:
    env = build(task, 2, env=config(task))
    env.reset([0, 1], [4, 4])
    actions = np.repeat(draw(env, 10, 1), 2, axis=1)
    first = trajectory(env, actions)
    assert all(array[0] == array[1] for step in first for array in step)
    env.reset([1, 0], [4, np.int64(4)])
    assert trajectory(env, actions) == first
    env.reset([0], [5])
    assert env.observe()[0][0].tolist() != env.observe()[0][1].tolist()


@pytest.mark.parametrize("task", KINDS)
def test_what_was_answered_stays_as_it_was(task: str, build: Any) -> None:
    env = build(task, env=config(task))
    env.reset([0], [1])
    answers = [*env.observe(), *env.step(draw(env, 1, 1)[0])]
    before = [array.tolist() for array in answers]
    trajectory(env, draw(env, 3, 1, seed=2))
    assert [array.tolist() for array in answers] == before


@pytest.mark.parametrize("task", KINDS)
def test_shapes_and_types_are_those_of_the_spec(task: str, build: Any) -> None:
    env = build(task, 4, env=config(task))
    spec = make_spec(task, config(task))
    assert env.spec == spec
    env.reset(range(4), range(4))
    step = env.step(draw(env, 1, 2)[0], [3, 0])
    assert step.obs.shape == (2, spec.num_agents, spec.obs_width)
    assert step.state.shape == (2, spec.state_dim)
    assert step.obs.dtype == step.state.dtype == step.reward.dtype == np.float64
    assert step.reward.shape == step.terminated.shape == step.truncated.shape == (2,)
    assert step.terminated.dtype == step.truncated.dtype == np.bool_


@pytest.mark.parametrize("task", KINDS)
def test_padded_action_dimensions_change_nothing(task: str, build: Any) -> None:
    env = build(task, env=config(task))
    actions = draw(env, 10, 1)
    padded = np.arange(env.spec.action_width) >= np.array(env.spec.action_dims)[:, None]
    env.reset([0], [1])
    expected = trajectory(env, actions)
    env.reset([0], [1])
    assert trajectory(env, np.where(padded, 9.0, actions)) == expected


def spoiled(saved: EnvState) -> list[EnvState]:
    name = "elapsed"
    return [
        {key: value for key, value in saved.items() if key != name},
        {**saved, "more": saved[name]},
        {**saved, name: np.zeros(3, dtype=saved[name].dtype)},
        {**saved, name: saved[name].astype(np.float32)},
    ]


@pytest.mark.parametrize("task", KINDS)
def test_a_state_that_does_not_fit_is_refused_and_nothing_is_changed(task: str, build: Any) -> None:
    env = build(task, env=config(task))
    env.reset([0], [1])
    saved = env.save(0)
    for wrong in spoiled(saved):
        with pytest.raises(CheckpointError, match="does not fit"):
            env.restore(0, wrong)
    assert {k: v.tolist() for k, v in env.save(0).items()} == {k: v.tolist() for k, v in saved.items()}


def test_a_state_of_another_task_is_refused(build: Any) -> None:
    hopper, walker = build("hopper"), build("walker2d_2x3")
    walker.reset([0], [0])
    with pytest.raises(CheckpointError, match="hopper"):
        hopper.restore(0, walker.save(0))


@pytest.mark.parametrize("task", KINDS)
@pytest.mark.parametrize("index", [[0, 0], [2], [-1]])
def test_environments_that_do_not_exist_or_come_twice_are_refused(
    task: str, index: list[int], build: Any
) -> None:
    env = build(task, 2, env=config(task))
    env.reset([0, 1], [0, 1])
    with pytest.raises(TaskError, match=r"environments \["):
        env.step(draw(env, 1, len(index))[0], index)


@pytest.mark.parametrize("task", ["hopper", "halfcheetah_2x3", "ant_4x2"])
def test_a_reward_that_cannot_be_trained_with_is_told_and_costs_its_neighbours_nothing(
    task: str, build: Any
) -> None:
    env = build(task, 3, env=EnvConfig(args={"ctrl_cost_weight": 1e300}))
    env.reset([0, 1, 2], [1, 2, 3])
    actions = draw(env, 2, 2)
    actions[0], actions[1, 0] = 0.0, 0.0
    env.step(actions[0], [0, 2])
    with pytest.raises(
        StepRaised, match=f"{task}: the team reward was -.* at step 2 of the environment, beyond"
    ) as told:
        env.step(actions[1], [0, 2])
    assert list(told.value.errors) == [2]
    assert isinstance(told.value.errors[2], NotFinite)
    assert np.isfinite(told.value.answer.reward[0])
    env.reset([2], [3])


@pytest.mark.parametrize("task", ["simple_spread_n3", "simple_adversary_n2"])
def test_a_world_that_is_nowhere_is_told(task: str, build: Any) -> None:
    env = build(task, 2)
    env.reset([0, 1], [1, 2])
    saved = env.save(1)
    env.restore(1, {**saved, "position": np.full_like(saved["position"], np.nan)})
    words = f"{task}: the team reward was nan at step 1 of the environment"
    with np.errstate(invalid="ignore"), pytest.raises(StepRaised, match=words) as told:
        env.step(draw(env, 1, 2)[0])
    assert list(told.value.errors) == [1]


def test_actions_of_the_wrong_shape_are_refused(build: Any) -> None:
    env = build("hopper", 2)
    with pytest.raises(TaskError, match=r"\(2, 3, 1\)"):
        env.step(np.zeros((1, 3, 1)))


def test_an_unknown_task_names_the_nearest() -> None:
    with pytest.raises(TaskError, match="hopper"):
        make_spec("hoper", EnvConfig())


@pytest.mark.parametrize(
    ("task", "args", "words"),
    [
        ("hopper", {"ctrl_cost_wait": 1.0}, "ctrl_cost_weight"),
        ("hopper", {"exclude_current_positions_from_observation": 3}, "not true or false"),
        ("hopper", {"xml_file": "my.xml"}, "not supported by Hopper-v5, because"),
        ("hopper", {"ctrl_cost_weight": "much"}, "not a number"),
        ("hopper", {"ctrl_cost_weight": float("nan")}, "not finite"),
        ("hopper", {"healthy_z_range": 0.7}, "range"),
        ("hopper", {"healthy_z_range": [2.0, 0.7]}, "smaller"),
        ("hopper", {"frame_skip": 0}, "at least 1"),
        ("simple_spread_n3", {"local_ration": 0.5}, "local_ratio"),
        ("simple_spread_n3", {"local_ratio": 1.5}, "between 0 and 1"),
        ("simple_adversary_n2", {"local_ratio": 0.5}, "max_cycles"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(task: str, args: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_env(task, EnvConfig(args=args), 1)


def test_no_environments_are_refused() -> None:
    with pytest.raises(OmadError, match="num_envs"):
        make_env("hopper", EnvConfig(), 0)
