"""Measurements: what is counted is what is there, and a measurement of a small case has its parts."""

import time

import pytest
import torch

from omad_core.bench import checkpoint_cost, environments, updates
from omad_core.bench.products import alone, record
from omad_core.bench.stopwatch import in_turns
from omad_core.config import EnvConfig


def test_products_are_counted_forward_and_backward():
    x, w = torch.randn(2, 8, 40), torch.randn(2, 40, 50, requires_grad=True)
    found = record(lambda: torch.bmm(x, w).sum().backward())
    assert sum(p.flops for p in found) == 2 * (2 * 2 * 8 * 40 * 50)
    assert [p.left[0] for p in found] == [(2, 8, 40), (2, 40, 8)]
    alone(found, torch.device("cpu"))()


def test_things_that_take_longer_are_seen_to_take_longer():
    def burn(seconds):
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass
        return 2

    times = in_turns({"short": lambda: burn(0.01), "long": lambda: burn(0.04)}, 0.0)
    assert times["long"].cpu / times["short"].cpu == pytest.approx(4.0, rel=0.2)
    assert times["short"].cpu == pytest.approx(0.005, rel=0.2)


def test_an_update_takes_longer_than_its_products_and_than_a_gaussians(small):
    config = small(actor__hidden_width=64, critic__hidden_width=64, actor__denoising_steps=6, batch_size=128)
    speeds = updates.measure(config, (1, 2), seconds=1.0)
    assert speeds.over_products > 1.0
    assert speeds.over_gaussian > 1.0
    assert speeds.ms.keys() == {1, 2}


def test_members_that_would_take_longer_than_the_time_given_are_left_out(small, monkeypatch):
    monkeypatch.setattr(updates, "LEAST_SECONDS", 0.0)
    assert updates.measure(small(), (1, 2, 4), seconds=0.0).ms.keys() == {1}


@pytest.mark.parametrize("task", ["hopper", "simple_spread_n3"])
def test_environments_are_measured_beside_the_original(task):
    speeds = environments.measure(task, EnvConfig(), num_envs=8, seconds=0.5)
    assert speeds.over_original > 1.0
    assert (speeds.physics is None) == (task != "hopper")
    assert speeds.share_of_physics is None or 0.3 < speeds.share_of_physics < 1.1


def test_a_second_checkpoint_writes_what_is_new(small):
    cost = checkpoint_cost.measure(small(), transitions=20_000, new=300)
    assert 300 <= cost.new < 20_000
    assert cost.new_bytes < 0.5 * cost.full_bytes
