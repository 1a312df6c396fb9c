"""Facts about Hopper 3x1 that docs/algorithm.md states."""

import pytest

from omad_core.assessment import assess_random
from omad_core.config import EnvConfig, TrainConfig
from omad_core.events import Evaluated, Progress
from omad_core.settings import replace
from omad_core.statistics import summarise
from omad_core.training import train


def test_random_play_returns_what_gymnasiums_hopper_returns():
    summary = summarise(assess_random("hopper", EnvConfig(), 300, seed=5).returns)
    assert 14.0 < summary.mean < 22.0  # 18.5 +- 1.1 with gymnasium.make("Hopper-v5"), 300 episodes


def events_of(**changes):
    config = replace(TrainConfig(task="hopper"), {k.replace("__", "."): v for k, v in changes.items()})
    return [event for event in train(config) if isinstance(event, Evaluated | Progress)]


@pytest.mark.slow
def test_the_plain_setting_passes_150_by_5000_steps():
    events = events_of(
        env_steps=5_000,
        random_steps=2_000,
        replay_size=100_000,
        actor__hidden_width=128,
        critic__hidden_width=256,
        evaluation__every_steps=1_000,
    )
    returns = [sum(e.returns) / len(e.returns) for e in events if isinstance(e, Evaluated)]
    assert max(returns) > 150.0


@pytest.mark.slow
def test_alpha_falls_below_a_fifth_within_15000_steps():
    events = events_of(
        env_steps=15_000,
        random_steps=1_000,
        replay_size=100_000,
        actor__hidden_width=64,
        actor__denoising_steps=4,
        critic__hidden_width=128,
        critic__quantiles=16,
        evaluation__every_steps=15_000,
        evaluation__episodes=1,
    )
    alphas = [e.metrics["train/alpha"] for e in events if isinstance(e, Progress) and "train/alpha" in e.metrics]
    assert min(alphas) < 0.2
    assert all(later < earlier + 0.05 for earlier, later in zip(alphas, alphas[1:], strict=False))
