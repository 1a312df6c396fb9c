"""Every MPE task equals mpe2: same seeds and actions, same numbers."""

from inspect import signature
from typing import Any

import numpy as np
import pytest
from mpe2 import simple_adversary_v3, simple_spread_v3

from omad_core.config import EnvConfig
from omad_core.envs import make_spec
from omad_core.envs.unsupported_arguments import MPE, SPREAD
from omad_core.errors import ConfigError

TASKS = [
    ("simple_spread_n3", "greedy"),
    ("simple_spread_n4", "greedy"),
    ("simple_adversary_n2", "static"),
    ("simple_adversary_n2", "random"),
    ("simple_adversary_n2", "greedy"),
]
STEPS = 500


def build_reference(task: str, **args: Any) -> Any:
    module = simple_adversary_v3 if "adversary" in task else simple_spread_v3
    return module.parallel_env(N=int(task[-1]), continuous_actions=True, **args)


def exact_observations(reference: Any) -> dict[str, np.ndarray]:
    """What mpe2 computes before it rounds to float32."""
    raw = reference.unwrapped
    return {agent.name: raw.scenario.observation(agent, raw.world) for agent in raw.world.agents}


def assert_same_view(env: Any, reference: Any, rounded: dict[str, np.ndarray]) -> None:
    obs, state = env.observe()
    exact = exact_observations(reference)
    for agent, name in enumerate(env.spec.agents):
        np.testing.assert_allclose(obs[0, agent], exact[name], rtol=0, atol=1e-9)
        np.testing.assert_allclose(obs[0, agent], rounded[name], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(state[0], expected_state(reference), rtol=0, atol=1e-9)


def expected_state(reference: Any) -> np.ndarray:
    world = reference.unwrapped.world
    parts = [agent.state.p_vel for agent in world.agents] + [agent.state.p_pos for agent in world.agents]
    parts += [mark.state.p_pos for mark in world.landmarks]
    if hasattr(world.agents[0], "goal_a"):
        parts.append(np.array([mark is world.agents[0].goal_a for mark in world.landmarks], dtype=float))
    return np.concatenate(parts)


class Adversary:
    """The three rules once more, written from their description, one environment at a time."""

    def __init__(self, rule: str, seed: int, world: Any) -> None:
        self.rule, self.world = rule, world
        self.draw = np.random.Generator(np.random.PCG64(seed))
        self.draw.integers(2)
        self.draw.uniform(size=(5, 2))

    def act(self) -> np.ndarray:
        if self.rule == "static":
            return np.zeros(5)
        if self.rule == "random":
            return self.draw.uniform(size=5)
        bad, *good = self.world.agents

        def nearest(mark: Any) -> float:
            return min(float(np.linalg.norm(agent.state.p_pos - mark.state.p_pos)) for agent in good)

        x, y = min(self.world.landmarks, key=nearest).state.p_pos - bad.state.p_pos
        return np.array([0, max(-x, 0), max(x, 0), max(-y, 0), max(y, 0)]).clip(0, 1)


@pytest.mark.parametrize(("task", "rule"), TASKS)
def test_a_task_equals_its_reference_over_resets_and_seeds(
    task: str, rule: str, build: Any, draw_actions: Any
) -> None:
    env, reference = build(task, env=EnvConfig(adversary=rule)), build_reference(task)
    assert set(env.spec.agents) == {name for name in reference.possible_agents if "adversary" not in name}
    rng = np.random.default_rng(0)
    for episode in range(STEPS // 25):
        run_one_episode(env, reference, rule, 100 * episode, rng, draw_actions)


def run_one_episode(
    env: Any, reference: Any, rule: str, seed: int, rng: np.random.Generator, draw_actions: Any
) -> None:
    spec = env.spec
    env.reset([0], [seed])
    assert_same_view(env, reference, reference.reset(seed=seed)[0])
    adversary = Adversary(rule, seed, reference.unwrapped.world)
    # Slow agents stay together and touch; fast ones spread; some press beyond their box, which is clipped.
    scale = rng.choice([0.1, 1.0, 1.5])
    for t in range(spec.horizon):
        actions = scale * draw_actions(spec, rng, 1)
        units = {name: (0.5 + 0.5 * row) for name, row in zip(spec.agents, actions[0], strict=True)}
        if "adversary_0" in reference.agents:
            units["adversary_0"] = adversary.act()
        step = env.step(actions)
        rounded, rewards, terminated, truncated, _ = reference.step(units)
        assert_same_view(env, reference, rounded)
        np.testing.assert_array_equal(step.obs, env.observe()[0])
        np.testing.assert_array_equal(step.state, env.observe()[1])
        assert step.reward[0] == pytest.approx(sum(rewards[name] for name in spec.agents), rel=0, abs=1e-9)
        assert not step.terminated[0]
        assert not any(terminated.values())
        assert step.truncated[0] == all(truncated.values()) == (t + 1 == spec.horizon)


def test_agents_that_touch_push_and_pay_as_in_the_reference(build: Any) -> None:
    env, reference = build("simple_spread_n3"), build_reference("simple_spread_n3")
    env.reset([0], [0])
    reference.reset(seed=0)
    place = np.array([[0.0, 0.0], [0.1, 0.05], [-0.05, 0.2]])
    saved = env.save(0)
    env.restore(0, {**saved, "position": place})
    for agent, position in zip(reference.unwrapped.world.agents, place, strict=True):
        agent.state.p_pos = position.copy()
    still = {name: np.full(5, 0.5) for name in env.spec.agents}
    for _ in range(3):
        step = env.step(np.zeros((1, 3, 5)))
        rounded, rewards, *_ = reference.step(still)
        assert_same_view(env, reference, rounded)
        assert step.reward[0] == pytest.approx(sum(rewards.values()), rel=0, abs=1e-9)
    touching = EnvConfig(args={"local_ratio": 1.0})
    alone = build("simple_spread_n3", env=touching)
    alone.reset([0], [0])
    alone.restore(0, {**saved, "position": place})
    assert alone.step(np.zeros((1, 3, 5))).reward[0] <= -2


@pytest.mark.parametrize("local_ratio", [0.0, 0.2])
def test_arguments_of_the_reference_mean_the_same(local_ratio: float, build: Any, draw_actions: Any) -> None:
    args = {"local_ratio": local_ratio, "max_cycles": 7}
    env = build("simple_spread_n3", env=EnvConfig(args=args))
    assert env.spec.horizon == 7
    run_one_episode(
        env, build_reference("simple_spread_n3", **args), "static", 1, np.random.default_rng(1), draw_actions
    )


@pytest.mark.parametrize("task", ["simple_spread_n3", "simple_spread_n4", "simple_adversary_n2"])
@pytest.mark.parametrize(("agents", "landmarks"), [(1, None), (None, 1), (2, 3), (6, 7)])
def test_the_nearest_neighbours_are_those_of_the_reference(
    task: str, agents: int | None, landmarks: int | None, build: Any, draw_actions: Any
) -> None:
    args = {"num_agent_neighbors": agents, "num_landmark_neighbors": landmarks}
    env, reference = build(task, env=EnvConfig(args=args)), build_reference(task, **args)
    assert env.spec.obs_dims[0] == reference.observation_space("agent_0").shape[0]
    for seed in range(4):
        run_one_episode(env, reference, "greedy", seed, np.random.default_rng(seed), draw_actions)


def cover(env: Any, reference: Any, elapsed: int, away: float) -> None:
    """Put each agent so far from a landmark of its own, that many steps into the episode."""
    saved = env.save(0)
    place = saved["landmarks"] + [away, 0.0]
    env.restore(0, {**saved, "position": place, "elapsed": np.array(elapsed)})
    for agent, position in zip(reference.unwrapped.world.agents, place, strict=True):
        agent.state.p_pos = position.copy()
    reference.unwrapped.steps = elapsed


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("away", [0.0999, 0.1001])
@pytest.mark.parametrize("elapsed", [3, 24])
def test_an_episode_ends_on_success_where_it_does_in_the_reference(
    asked: bool, away: float, elapsed: int, build: Any
) -> None:
    args = {"terminate_on_success": asked}
    env, reference = (
        build("simple_spread_n3", env=EnvConfig(args=args)),
        build_reference("simple_spread_n3", **args),
    )
    assert env.spec.terminates == asked
    env.reset([0], [6])
    reference.reset(seed=6)
    cover(env, reference, elapsed, away)
    step = env.step(np.zeros((1, 3, 5)))
    _, _, terminated, truncated, _ = reference.step({name: np.full(5, 0.5) for name in env.spec.agents})
    assert (step.terminated[0], step.truncated[0]) == (terminated["agent_0"], truncated["agent_0"])
    assert step.terminated[0] == (asked and away < 0.1 and elapsed == 3)


@pytest.mark.parametrize(("task", "refused"), [("simple_spread_n3", SPREAD), ("simple_adversary_n2", MPE)])
def test_every_argument_of_the_reference_is_taken_or_refused_with_its_reason(
    task: str, refused: dict[str, str]
) -> None:
    module = simple_adversary_v3 if "adversary" in task else simple_spread_v3
    parameters = dict(signature(module.raw_env.__init__).parameters)
    del parameters["self"]
    assert refused.keys() <= parameters.keys()
    for name, parameter in parameters.items():
        if name in refused:
            with pytest.raises(ConfigError, match=rf"{name} is not supported by {task[:-3]}_v3, because"):
                make_spec(task, EnvConfig(args={name: True}))
        else:
            make_spec(task, EnvConfig(args={name: parameter.default}))


@pytest.mark.parametrize("count", [0, "few", True])
def test_neighbours_that_are_no_count_are_refused(count: Any) -> None:
    with pytest.raises(ConfigError, match="num_agent_neighbors"):
        make_spec("simple_spread_n3", EnvConfig(args={"num_agent_neighbors": count}))
