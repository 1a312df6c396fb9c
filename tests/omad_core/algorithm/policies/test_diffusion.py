"""The diffusion chain and its entropy bound: the facts that any implementation must show."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from omad_core.algorithm.policies.denoiser import init_diffusion, time_features
from omad_core.algorithm.policies.diffusion import ChainShape, act, draw, log_one_minus_tanh2, step_sizes
from omad_core.config import ActorConfig
from omad_core.nn.layers import real_columns, stack


def chain(steps, members=1, agents=3, act_dim=2, obs_dim=4, padded=None, seed=0):
    """Fresh policies, and the shape of chains of `steps` (one number a member, if a list)."""
    each = steps if isinstance(steps, list) else [steps] * members
    gens = [torch.Generator().manual_seed(seed) for _ in each]
    config = ActorConfig(hidden_width=16)
    params = stack([init_diffusion(config, agents, obs_dim, act_dim, gen) for gen in gens])
    shape = ChainShape(
        denoising_steps=torch.tensor([float(k) for k in each]),
        sigma0=torch.full((len(each),), 2.5),
        action_mask=torch.ones(agents, act_dim),
        features=time_features(padded or max(each), torch.device("cpu")),
        ragged=padded is not None or len(set(each)) > 1,
    )
    return params, shape


@pytest.mark.parametrize("steps", [4, 8, 16, 32])
def test_at_initialisation_the_bound_has_its_known_value(steps):
    params, shape = chain(steps)
    torch.manual_seed(0)
    obs = torch.randn(1, 3, 40_000, 4)
    with torch.no_grad():
        drawn = draw(params, shape, obs, torch.randn(steps + 1, 1, 3, 40_000, 2))
    d = 3 * 2
    cost, prior = float(drawn.cost.sum(1).mean()), float(drawn.prior.sum(1).mean())
    assert cost / d == pytest.approx(2.85, abs=0.03)
    assert prior / d == pytest.approx(-2.335, abs=0.02)
    assert -(cost + prior) / d == pytest.approx(-0.51, abs=0.03)


def test_acting_and_sampling_give_the_same_actions_for_the_same_noise():
    params, shape = chain(5)
    obs, noise = torch.randn(1, 3, 7, 4), torch.randn(6, 1, 3, 7, 2)
    with torch.no_grad():
        torch.testing.assert_close(act(params, shape, obs, noise), draw(params, shape, obs, noise).action)


def test_a_padded_chain_equals_the_unpadded_one_and_has_finite_gradients():
    obs, noise = torch.randn(1, 3, 50, 4), torch.randn(5, 1, 3, 50, 2)
    padded_noise = torch.cat([noise, torch.zeros(4, 1, 3, 50, 2)])
    grads = []
    for padded, z in ((None, noise), (8, padded_noise)):
        params, shape = chain(4, padded=padded)
        params = {k: v.requires_grad_() for k, v in params.items()}
        drawn = draw(params, shape, obs, z)
        loss = (drawn.action.sum() + drawn.cost.sum() + drawn.prior.sum()) / 50
        grads.append(torch.autograd.grad(loss, list(params.values())))
    for a, b in zip(*grads, strict=True):
        assert torch.isfinite(b).all()
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_members_with_chains_of_different_length_do_not_touch_each_other():
    obs, noise = torch.randn(2, 3, 9, 4), torch.randn(7, 2, 3, 9, 2)
    both, shape = chain([3, 6])
    actions = act(both, shape, obs, noise)
    for member, steps in enumerate((3, 6)):
        params, own = chain(steps)
        alone = act(params, own, obs[member : member + 1], noise[: steps + 1, member : member + 1])
        torch.testing.assert_close(actions[member], alone[0])


def test_step_sizes_are_large_at_the_noise_end_and_tiny_near_the_action():
    params, shape = chain(8)
    eta = step_sizes(params, shape.denoising_steps, 8)[0, 0, :, 0].tolist()
    assert eta == sorted(eta, reverse=True)
    assert eta[0] == pytest.approx(1.6 / 8, rel=0.01)
    expected = 0.999 * math.cos(0.5 * math.pi * (1.008 - 1 / 8) / 1.008) ** 2 + 0.001
    assert eta[7] == pytest.approx(1.6 / 8 * expected, rel=1e-4)


def test_padded_action_dimensions_cost_nothing():
    params, shape = chain(4)
    mask = torch.ones(3, 2)
    mask[1, 1] = 0.0
    masked = ChainShape(shape.denoising_steps, shape.sigma0, mask, shape.features, False)
    obs, noise = torch.randn(1, 3, 20_000, 4), torch.randn(5, 1, 3, 20_000, 2)
    with torch.no_grad():
        cost = draw(params, masked, obs, noise).cost.mean((0, 2))
    assert float(cost[1] / cost[0]) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("unmasked", [0.0, 1.0])
def test_nothing_of_the_padding_enters_a_chain_that_masks_it(unmasked):
    params, shape = chain(4, agents=2, act_dim=3)
    params["last.weight"] += torch.randn(params["last.weight"].shape)
    shape = dataclasses.replace(
        shape, action_mask=real_columns((3, 1)), unmasked=torch.tensor([unmasked]), sigma0=torch.tensor([2.5])
    )
    obs, noise = torch.randn(1, 2, 50, 4), torch.randn(5, 1, 2, 50, 3)
    other = torch.where(shape.action_mask[:, None] > 0, noise, torch.randn(noise.shape))
    leaves = {name: tensor.requires_grad_() for name, tensor in params.items()}
    first, second = draw(leaves, shape, obs, noise), draw(leaves, shape, obs, other)
    for one, two in ((first.action[..., :1], second.action[..., :1]), (first.cost, second.cost)):
        moved = float((one - two).detach().abs().mean((0, 2)).flatten()[-1])
        assert moved == 0.0 if unmasked == 0.0 else moved > 0.01
    torch.testing.assert_close(act(leaves, shape, obs, noise), first.action)
    (first.action[..., 0].sum() + first.cost.sum()).backward()
    into = leaves["join.x"].grad[0, 1, 1:]
    assert bool((into == 0.0).all()) is (unmasked == 0.0)


def test_the_log_of_the_squashing_does_not_overflow():
    x = torch.tensor([-60.0, -3.0, 0.0, 2.0, 60.0])
    values = log_one_minus_tanh2(x)
    assert torch.isfinite(values).all()
    torch.testing.assert_close(values[1:4], torch.log(1 - torch.tanh(x[1:4]) ** 2), rtol=1e-4, atol=1e-5)


def entropy_of(samples, bins=200):
    mass, edges = np.histogram(samples, bins=bins, range=(-1, 1), density=True)
    width, kept = edges[1] - edges[0], mass > 0
    return float(-(mass[kept] * np.log(mass[kept])).sum() * width)


def test_the_bound_stays_below_the_entropy_and_training_closes_the_gap():
    params, shape = chain(8, agents=1, act_dim=1, obs_dim=1)
    params = {k: v.requires_grad_() for k, v in params.items()}
    adam = torch.optim.Adam(params.values(), lr=2e-3, betas=(0.5, 0.999))
    torch.manual_seed(1)
    gaps = []
    for update in range(601):
        measure = update in (0, 100, 600)
        count = 20_000 if measure else 128
        drawn = draw(params, shape, torch.zeros(1, 1, count, 1), torch.randn(9, 1, 1, count, 1))
        bound = -(drawn.cost + drawn.prior).mean()
        if measure:
            gaps.append(entropy_of(drawn.action.detach().flatten().numpy()) - float(bound.detach()))
            continue
        loss = (drawn.action - 0.3).square().mean() - bound
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert min(gaps) > 0.0
    assert gaps[2] < 0.8 * gaps[1], gaps
