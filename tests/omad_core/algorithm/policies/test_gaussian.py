"""The Gaussian policy: what is compared with the diffusion policy has the exact density of what it draws."""

import pytest
import torch
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from omad_core.algorithm.policies.gaussian import (
    AS_OMAD,
    _mean_and_log_std,
    act_gaussian,
    draw_gaussian,
    init_gaussian,
)
from omad_core.config import ActorConfig
from omad_core.nn.layers import stack


def policies(agents=2, act=3, obs=4):
    gen = torch.Generator().manual_seed(0)
    params = stack([init_gaussian(ActorConfig(hidden_width=16), agents, obs, act, gen)])
    return {name: tensor + 0.3 * torch.randn(tensor.shape, generator=gen) for name, tensor in params.items()}


def test_its_density_is_that_of_a_squashed_normal():
    params, obs = policies(), torch.randn(1, 2, 50, 4, dtype=torch.float64)
    params = {name: tensor.double() for name, tensor in params.items()}
    noise = 0.5 * torch.randn(1, 1, 2, 50, 3, dtype=torch.float64)
    mask = torch.ones(2, 3, dtype=torch.float64)
    drawn = draw_gaussian(params, torch.tensor([2.5], dtype=torch.float64), mask, obs, noise)
    mean, log_std = _mean_and_log_std(params, AS_OMAD, obs)
    squashed = TransformedDistribution(Normal(mean, log_std.exp()), [TanhTransform()])
    expected = squashed.log_prob(drawn.action).sum(-1)
    torch.testing.assert_close(drawn.cost + drawn.prior, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(act_gaussian(params, obs, noise), drawn.action)


def test_padded_actions_add_nothing_to_it():
    params, obs, noise = policies(), torch.randn(1, 2, 50, 4), torch.randn(1, 1, 2, 50, 3)
    sigma0, mask = torch.tensor([2.5]), torch.ones(2, 3)
    mask[1, 2] = 0.0
    narrow = {name: tensor.clone() for name, tensor in params.items()}
    drawn = draw_gaussian(params, sigma0, mask, obs, noise)
    noise[..., 1, :, 2] = 9.0
    again = draw_gaussian(narrow, sigma0, mask, obs, noise)
    torch.testing.assert_close(drawn.cost, again.cost)
    # A constant a real dimension: the temperature's budget means the same for both policies.
    assert float(drawn.prior[0, 1, 0] / drawn.prior[0, 0, 0]) == pytest.approx(2 / 3)
