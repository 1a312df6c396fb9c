"""The DDPM policy: its schedule, and what noising and sampling have in common."""

import pytest
import torch

from omad_core.algorithm.policies.ddpm import Ddpm, noised, schedule
from omad_core.algorithm.policies.facts import PolicyFacts
from omad_core.config import default_config
from omad_core.settings import replace


@pytest.mark.parametrize(("steps", "left"), [(8, 0.0066), (20, 5.27e-6)])
def test_the_schedule_ends_where_it_should(steps, left):
    found = schedule(torch.tensor([float(steps)]), steps)[0]
    assert float(found[0]) == pytest.approx(left, rel=0.05)
    assert (found[1:] > found[:-1]).all()
    assert found[-1] == 1.0


def test_members_have_the_schedules_of_their_own_lengths():
    both = schedule(torch.tensor([3.0, 6.0]), 6)
    torch.testing.assert_close(both[0, :4], schedule(torch.tensor([3.0]), 3)[0])
    assert (both[0, 3:] == 1.0).all()


def test_a_noised_action_has_the_variance_of_its_level():
    config = replace(default_config("hopper", "madpmd"), {"actor.denoising_steps": 8}).actor
    facts = PolicyFacts(config, {"denoising_steps": torch.tensor([8.0])}, torch.ones(1, 1), 9)
    shape = Ddpm().shape(facts)
    share, eps = torch.rand(1, 1, 80_000), torch.randn(1, 1, 80_000, 1)
    noisy, step = noised(shape, torch.full_like(eps, 0.5), share, eps)
    kept = schedule(shape.denoising_steps, 8)[0].tolist()
    assert sorted(step.unique().tolist()) == list(range(8))
    for s in range(8):
        found = noisy[..., 0][step == s]
        assert float(found.mean()) == pytest.approx(0.5 * kept[s] ** 0.5, abs=0.04)
        assert float(found.var()) == pytest.approx(1.0 - kept[s], rel=0.08, abs=1e-4)
