"""That it learns: minutes each, on the settings of a laptop."""

import pytest

from omad_core.config import TrainConfig
from omad_core.events import Evaluated, Progress
from omad_core.settings import replace
from omad_core.training import train

HOPPER = {
    "task": "hopper",
    "random_steps": 2_000,
    "replay_size": 20_000,
    "actor.hidden_width": 128,
    "critic.hidden_width": 256,
    "evaluation.every_steps": 1_000,
    "evaluation.episodes": 5,
}
LAPTOP = {
    "random_steps": 1_000,
    "actor.hidden_width": 64,
    "actor.denoising_steps": 4,
    "critic.hidden_width": 128,
    "critic.quantiles": 16,
}


@pytest.mark.slow
def test_hopper_passes_150_within_5_000_steps():
    events = list(train(replace(TrainConfig(), HOPPER | {"env_steps": 5_000})))
    means = [sum(e.returns) / len(e.returns) for e in events if isinstance(e, Evaluated)]
    assert max(means) > 150, means


@pytest.mark.slow
def test_hoppers_alpha_falls_below_a_fifth_within_15_000_steps():
    for event in train(replace(TrainConfig(), HOPPER | LAPTOP | {"env_steps": 15_000})):
        if isinstance(event, Progress) and event.metrics.get("train/alpha", 1.0) < 0.2:
            return
    pytest.fail("alpha never fell below 0.2")
