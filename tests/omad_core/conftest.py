"""Small trainings for the engine's tests."""

from collections.abc import Callable
from typing import Any

import pytest

from omad_core.config import TrainConfig
from omad_core.events import Broken, Diverged, Event, Finished
from omad_core.population import Population
from omad_core.settings import replace

SMALL = {
    "task": "hopper",
    "env_steps": 60,
    "random_steps": 20,
    "num_envs": 2,
    "batch_size": 16,
    "replay_size": 200,
    "log_every_steps": 20,
    "actor.hidden_width": 16,
    "actor.hidden_layers": 2,
    "actor.denoising_steps": 3,
    "critic.hidden_width": 16,
    "critic.quantiles": 5,
    "critic.categories": 11,
    "evaluation.every_steps": 40,
    "evaluation.episodes": 2,
}


@pytest.fixture
def small() -> Callable[..., TrainConfig]:
    """A training that takes a second: `small(gamma=0.9)`, dots written as double underscores."""

    def make(**changes: Any) -> TrainConfig:
        return replace(TrainConfig(), SMALL | {k.replace("__", "."): v for k, v in changes.items()})

    return make


def finish(population: Population, members: set[int]) -> list[Event]:
    """Advance until all of these members have ended."""
    events: list[Event] = []
    while members - {e.member for e in events if isinstance(e, Finished | Diverged)}:
        events += population.advance()
        assert not [e for e in events if isinstance(e, Broken) and e.member in members], events[-1]
    return events


@pytest.fixture
def run_to_end() -> Callable[[Population, set[int]], list[Event]]:
    return finish
