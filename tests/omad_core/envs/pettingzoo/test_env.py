"""A user's own PettingZoo environment runs by its name, under stated rules."""

import sys
from typing import Any

import numpy as np
import pytest
from mpe2 import simple_spread_v3

from omad_core.config import EnvConfig
from omad_core.envs import make_spec
from omad_core.errors import CheckpointError, ConfigError, TaskError

RELAY = "toy_worlds:relay"
SPREAD = "mpe2.simple_spread_v3:parallel_env"


@pytest.fixture(autouse=True)
def importable_toys(monkeypatch: pytest.MonkeyPatch, toys: str) -> None:
    monkeypatch.syspath_prepend(toys)


def with_args(**args: Any) -> EnvConfig:
    return EnvConfig(args=args)


def joint(*values: float) -> np.ndarray:
    """One environment's action, each agent pushing all its dimensions alike; zeros in the padding."""
    actions = np.zeros((1, 3, 3))
    for agent, value in enumerate(values):
        actions[0, agent, : agent + 1] = value
    return actions


def test_spec_is_read_off_the_spaces() -> None:
    spec = make_spec(RELAY, EnvConfig())
    assert spec.agents == ("first", "second", "third")
    assert (spec.obs_dims, spec.action_dims, spec.state_dim) == ((2, 3, 4), (1, 2, 3), 9)
    assert spec.action_low[2] == (-2.0, -2.0, -2.0)
    assert spec.action_high[1] == (4.0, 4.0)
    assert (spec.horizon, spec.resumable) == (1000, False)
    assert spec.versions["pettingzoo"]


def test_actions_are_scaled_to_each_agents_box(build: Any) -> None:
    env = build(RELAY)
    env.reset([0], [0])
    obs = env.step(joint(-1, 0, 1)).obs[0]
    assert obs[0, 1:].tolist() == [-2, 0, 0]
    assert obs[1, 1:].tolist() == [1, 1, 0]
    assert obs[2, 1:].tolist() == [4, 4, 4]


def test_actions_beyond_the_box_are_clipped(build: Any) -> None:
    env = build(RELAY)
    env.reset([0], [0])
    assert env.step(joint(1.5, -3, 1)).obs[0, :2, 1].tolist() == [4, -2]


def test_observations_are_padded_and_the_state_is_made_of_them(build: Any) -> None:
    env = build(RELAY)
    env.reset([0], [3])
    obs, state = env.observe()
    expected = np.random.default_rng(3).normal(size=3)
    np.testing.assert_array_equal(obs[0, :, 0], expected)
    assert not obs[0, 0, 2:].any()
    np.testing.assert_array_equal(state[0], np.concatenate([obs[0, 0, :2], obs[0, 1, :3], obs[0, 2]]))


def test_an_agent_that_leaves_early_is_seen_as_zeros_while_the_others_go_on(build: Any) -> None:
    env = build(RELAY)
    env.reset([0], [0])
    steps = [env.step(joint(1, 1, 1)) for _ in range(5)]
    assert [bool(step.obs[0, 1].any()) for step in steps] == [True, True, False, False, False]
    assert all(step.obs[0, 0].any() for step in steps)
    assert [step.reward[0] for step in steps] == [12, 12, 8, 8, 8]
    assert [step.terminated[0] for step in steps] == [False, False, False, False, True]
    assert not any(step.truncated[0] for step in steps)


def test_an_episode_that_the_environment_cuts_is_truncated(build: Any) -> None:
    env = build(RELAY, env=with_args(length=3, cut=True))
    env.reset([0], [0])
    last = [env.step(joint(0, 0, 0)) for _ in range(3)][-1]
    assert (last.terminated[0], last.truncated[0]) == (False, True)


def test_an_episode_is_truncated_at_the_horizon(build: Any) -> None:
    env = build(RELAY, env=with_args(max_episode_steps=4))
    env.reset([0], [0])
    steps = [env.step(joint(0, 0, 0)) for _ in range(4)]
    assert [step.truncated[0] for step in steps] == [False, False, False, True]
    assert not steps[-1].terminated[0]


def test_the_horizon_is_the_environments_own_where_it_says_one() -> None:
    assert make_spec("toy_worlds:saving_relay", EnvConfig()).horizon == 9
    assert make_spec(SPREAD, with_args(continuous_actions=True, max_cycles=13)).horizon == 13


@pytest.mark.parametrize(("rule", "reward"), [("sum", 21.0), ("mean", 7.0)])
def test_the_team_reward_follows_the_chosen_rule(rule: str, reward: float, build: Any) -> None:
    env = build(RELAY, env=with_args(shared=True, team_reward=rule))
    env.reset([0], [0])
    assert env.step(joint(0.5, 0.5, 0.5)).reward[0] == reward


def test_a_step_after_the_end_is_refused(build: Any) -> None:
    env = build(RELAY, env=with_args(length=1))
    env.reset([0], [0])
    env.step(joint(0, 0, 0))
    with pytest.raises(TaskError, match="reset it"):
        env.step(joint(0, 0, 0))


def test_an_environment_that_cannot_save_says_so_and_goes_on(build: Any) -> None:
    env, saving = build(RELAY), build("toy_worlds:saving_relay")
    for each in (env, saving):
        each.reset([0], [8])
    before = env.observe()[0]
    for ask in (lambda: env.save(0), lambda: env.restore(0, saving.save(0))):
        with pytest.raises(
            CheckpointError, match="relay cannot save its state; give it the methods save_state"
        ):
            ask()
    np.testing.assert_array_equal(env.observe()[0], before)


def test_a_saved_state_that_the_environment_refuses_is_a_checkpoint_error(build: Any) -> None:
    env = build("toy_worlds:saving_relay")
    env.reset([0], [8])
    saved = {name: value for name, value in env.save(0).items() if name != "env.position"}
    with pytest.raises(CheckpointError, match="position"):
        env.restore(0, saved)


def test_a_wrapped_task_of_mpe2_equals_the_same_task_stepped_directly(build: Any) -> None:
    env = build(SPREAD, env=with_args(continuous_actions=True))
    direct = simple_spread_v3.parallel_env(continuous_actions=True)
    env.reset([0], [4])
    direct.reset(seed=4)
    rng = np.random.default_rng(0)
    for _ in range(25):
        actions = rng.uniform(-1, 1, (1, 3, 5))
        step = env.step(actions)
        units = (0.5 + 0.5 * actions[0]).astype(np.float32)
        seen, rewards, _, cut, _ = direct.step(dict(zip(env.spec.agents, units, strict=True)))
        np.testing.assert_array_equal(step.obs[0], np.stack([seen[name] for name in env.spec.agents]))
        np.testing.assert_array_equal(step.state[0], direct.state())
        assert step.reward[0] == sum(rewards.values())
        assert step.truncated[0] == all(cut.values())


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("toy_worlds:switches", "Discrete.*only Box"),
        ("toy_worlds:unbounded", "within bounds"),
        ("toy_worlds:empty", "possible_agents"),
        ("toy_worlds:not_a_factory", "no function 'not_a_factory'"),
        ("toy_worlds:absent", "no function 'absent'"),
        ("toy_worlds:", "module:factory"),
        ("no_such_world:make", "cannot import 'no_such_world'"),
        (":make", "module:factory"),
        ("mpe2.simple_spread_v3:env", "parallel_env"),
        (SPREAD, "Discrete"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_with_a_reason(task: str, words: str) -> None:
    with pytest.raises(TaskError, match=words):
        make_spec(task, EnvConfig())


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"lenght": 3}, "lenght"),
        ({"team_reward": "max"}, "sum, mean"),
        ({"max_episode_steps": 0}, "at least 1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(args: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_spec(RELAY, with_args(**args))


def test_a_module_in_the_working_folder_is_found(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_own_world.py").write_text("from toy_worlds import relay as make\n")
    assert make_spec("my_own_world:make", EnvConfig()).num_agents == 3
