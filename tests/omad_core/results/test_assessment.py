"""Assessment on fresh episodes, and the fact about Hopper that needs no training."""

import pytest

from omad_core.config import EnvConfig
from omad_core.errors import ConfigError
from omad_core.population import Population
from omad_core.results.assessment import assess, assess_random
from omad_core.results.statistics import interquartile_mean, summarise


def test_random_play_returns_what_gymnasiums_hopper_returns():
    summary = summarise(assess_random("hopper", EnvConfig(), 300, seed=5).returns)
    assert 14.0 < summary.mean < 22.0  # 18.5 +- 1.1 with gymnasium.make("Hopper-v5"), 300 episodes


def test_the_same_seed_gives_the_same_episodes_however_many_are_played(small, run_to_end):
    population = Population(small(), slice_seconds=0)
    member = population.admit(small())
    run_to_end(population, {member})
    policy = population.policy(member)
    population.close()
    first = assess(policy, 5, seed=3)
    assert first == assess(policy, 5, seed=3)
    assert first.returns != assess(policy, 5, seed=4).returns
    still = assess(policy, 70, seed=3, deterministic=True)
    assert len(still.returns) == len(still.lengths) == 70
    assert still.returns[:5] == pytest.approx(assess(policy, 5, seed=3, deterministic=True).returns)
    with pytest.raises(ConfigError, match="episodes = 0"):
        assess(policy, 0)


def test_summaries_are_the_published_ones():
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 100.0]
    assert interquartile_mean(values) == pytest.approx(4.5)
    summary = summarise(values)
    assert summary.mean == pytest.approx(16.0)
    assert summary.low < 16.0 < summary.high
