"""Replay against a plain list of what happened."""

import numpy as np
import pytest
import torch

from omad_core.engine.replay import Replay
from omad_core.task import TaskSpec

SPEC = TaskSpec("toy", "toy", {}, ("a", "b"), (1, 1), (1, 1), ((-1.0,),) * 2, ((1.0,),) * 2, 2, 100, True)
ENVS, GAMMA = 2, 0.9


def sights():
    """Observations that tell each moment from every other: 4 numbers, A * O + S."""
    number = 0.0
    while True:
        number += 1.0
        yield np.full(4, number, np.float32)


def play(replay, steps, seed=0, end=0.3):
    """Fill a member's replay with episodes that end at random; the plain record of it, by environment and step."""
    rng, sight = np.random.default_rng(seed), sights()
    seen = np.stack([next(sight) for _ in range(ENVS)])
    happened = [[] for _ in range(ENVS)]
    for _ in range(steps):
        replay.show([0], seen[None])
        reward = rng.normal(size=ENVS)
        terminated, truncated = rng.random(ENVS) < end / 2, rng.random(ENVS) < end / 2
        after = np.stack([next(sight) for _ in range(ENVS)])
        ended = terminated | truncated
        action = rng.uniform(-1, 1, (1, ENVS, 2)).astype(np.float32)
        replay.put([0], action, reward[None], terminated[None], ended[None], after[None])
        for env in range(ENVS):
            happened[env].append(
                (seen[env], action[0, env], reward[env], terminated[env], ended[env], after[env])
            )
        seen = np.stack([next(sight) if ended[env] else after[env] for env in range(ENVS)])
    replay.show([0], seen[None])
    return happened


def plain_target(trajectory, start, n_step):
    """Eq. 9's reward, discount and bootstrap observation of one transition, by a loop."""
    total, factor = 0.0, 1.0
    for _, _, reward, terminated, ended, after in trajectory[start : start + n_step]:
        total += factor * reward
        factor *= GAMMA
        if ended:
            return total, factor * (not terminated), after
    return total, factor, after


def everything(replay, count):
    return replay.sample(torch.arange(count)[None], torch.tensor([GAMMA]))


@pytest.mark.parametrize("n_step", [1, 3, 5])
def test_targets_of_n_steps_are_those_of_a_plain_loop(n_step):
    replay = Replay(SPEC, 1, ENVS, 1_000, n_step, torch.device("cpu"))
    happened = play(replay, 60)
    frames = 60 - n_step + 1
    drawn = everything(replay, frames * ENVS)
    for number in range(frames * ENVS):
        frame, env = divmod(number, ENVS)
        reward, discount, after = plain_target(happened[env], frame, n_step)
        seen, action = happened[env][frame][:2]
        assert float(drawn.reward[0, number]) == pytest.approx(reward, abs=1e-5)
        assert float(drawn.discount[0, number]) == pytest.approx(discount, abs=1e-6)
        assert drawn.next_obs[0, :, number, 0].tolist() == after[:2].tolist()
        assert drawn.next_state[0, number].tolist() == after[2:].tolist()
        assert drawn.obs[0, :, number, 0].tolist() == seen[:2].tolist()
        assert drawn.action[0, :, number, 0].tolist() == action.tolist()


def test_a_full_ring_holds_the_newest_transitions_and_their_right_successors():
    replay = Replay(SPEC, 1, ENVS, 40, 1, torch.device("cpu"))
    happened = play(replay, 500, end=0.1)
    rows = replay.rows(0)
    held = (rows.stop - rows.oldest) * ENVS
    assert 40 <= held <= 44
    drawn = everything(replay, held)
    for number in range(held):
        frame, env = divmod(number, ENVS)
        expected = happened[env][rows.oldest + frame]
        assert drawn.obs[0, 0, number, 0] == expected[0][0]
        assert drawn.next_obs[0, 0, number, 0] == expected[5][0]


def test_where_finals_run_out_the_window_shrinks_and_nothing_false_is_drawn():
    replay = Replay(SPEC, 1, ENVS, 400, 1, torch.device("cpu"))
    happened = play(replay, 600, end=0.9)
    rows = replay.rows(0)
    held = (rows.stop - rows.oldest) * ENVS
    assert 0 < held < 200
    drawn = everything(replay, held)
    for number in range(held):
        frame, env = divmod(number, ENVS)
        expected = happened[env][rows.oldest + frame]
        assert drawn.next_obs[0, 0, number, 0] == expected[5][0]


def test_draws_are_uniform():
    replay = Replay(SPEC, 1, ENVS, 1_000, 1, torch.device("cpu"))
    play(replay, 50)
    gen = torch.Generator().manual_seed(0)
    drawn = replay.sample(torch.randint(0, 2**62, (1, 100_000), generator=gen), torch.tensor([GAMMA]))
    _, counts = drawn.obs[0, 0, :, 0].unique(return_counts=True)
    assert len(counts) == 100
    chi_squared = float(((counts - 1_000.0) ** 2 / 1_000.0).sum())
    assert chi_squared < 149  # 99 degrees of freedom, 0.1 %
