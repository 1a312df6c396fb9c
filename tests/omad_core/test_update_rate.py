"""Updates per step, fractions included: how many, when, and where a member begins beside others."""

from math import floor

import pytest
from member_checks import RATES

from omad_core.config import TrainConfig, update_rate
from omad_core.engine.trainer import Trainer
from omad_core.errors import ConfigError
from omad_core.events import Progress
from omad_core.population import Population
from omad_core.settings import from_dict, replace, to_dict


def of(small, rate, envs, delay, **changes):
    return small(updates_per_step=rate, num_envs=envs, policy_delay=delay, **changes)


def until(population, member, vector_steps, envs):
    """Advance to a vector step."""
    while True:
        steps = [e.env_steps for e in population.advance() if isinstance(e, Progress) and e.member == member]
        if steps and steps[-1] >= vector_steps * envs:
            return


@pytest.mark.parametrize(("rate", "envs", "delay"), RATES)
def test_updates_come_when_they_are_due(small, run_to_end, monkeypatch, rate, envs, delay):
    config = of(small, rate, envs, delay)
    done = []

    def update(self, learners, tick, number):
        (member,) = learners
        assert tick == member.ticks
        done.append((member.vector_steps, tick + number))

    monkeypatch.setattr(Trainer, "_update", update)
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    events = run_to_end(population, {member})
    population.close()
    first, last = 20 // envs, -(-60 // envs)
    before = [floor(v * envs * round(rate * 100) / 100 + 1e-9) for v in range(last + 1)]
    assert done == [(v, t) for v in range(first, last) for t in range(before[v], before[v + 1])]
    updates = [e.updates for e in events if isinstance(e, Progress)][-1]
    assert updates == len(done) == before[last] - before[first]


@pytest.mark.parametrize(("rate", "envs", "delay"), RATES)
def test_a_member_begins_where_updates_and_actor_updates_fall_together(small, rate, envs, delay):
    config = of(small, rate, envs, delay, env_steps=400, random_steps=399, evaluation__every_steps=400)
    population = Population(config, capacity=2, slice_seconds=0)
    first = population.admit(config)
    until(population, first, 1, envs)
    second = population.admit(replace(config, {"seed": 1}))
    roster = population._roster
    waited = 0
    while roster.is_waiting(roster.find(second)):
        population.advance()
        waited += 1
    begun = roster.vector_steps - roster.find(second).vector_steps
    one = update_rate(config)
    assert begun * one % delay == 0
    assert not [apart for apart in range(1, begun) if apart * one % delay == 0]
    assert waited <= begun
    population.close()


def test_what_is_written_is_what_is_computed_with():
    assert update_rate(replace(TrainConfig(), {"updates_per_step": "0.05", "num_envs": 20})) == 1
    assert update_rate(replace(TrainConfig(), {"updates_per_step": 0.3, "num_envs": 10})) == 3
    whole = to_dict(from_dict(TrainConfig, {"updates_per_step": 2.0}))["updates_per_step"]
    assert (whole, type(whole)) == (2, int)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (0.0512345, "more than three decimals; round it, say to 0.051"),
        (0.0, "it must lie between 0.001 and 64"),
        (65, "it must lie between 0.001 and 64"),
        ("often", "is not a number"),
    ],
)
def test_other_rates_are_refused(value, complaint):
    with pytest.raises(ConfigError, match=complaint):
        replace(TrainConfig(), {"updates_per_step": value})
