"""The diffusion chain: sampling an action and the terms of its entropy bound, eq. 1 to 8."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from omad_core.actor import drift, prepare
from omad_core.layers import split

LOG_2 = math.log(2.0)
LOG_2PI = math.log(2.0 * math.pi)


@dataclass(frozen=True)
class Draw:
    """Actions of all agents, and what they cost in the entropy bound."""

    action: Tensor
    """[P, A, N, U] squashed, in [-1, 1]."""
    cost: Tensor
    """[P, A, N] run cost c_i, eq. 5."""
    prior: Tensor
    """[P, A, N] prior term t_i, eq. 6."""


def step_sizes(params: Mapping[str, Tensor], denoising_steps: Tensor, steps: int) -> Tensor:
    """eta_k of eq. 4: [P, A, steps, U] for members with `denoising_steps` [P]; 1 where k >= K (padding).

    A padded step is computed and dropped; eta = 0 there would give NaN gradients.
    """
    k = torch.arange(steps, device=denoising_steps.device)
    total = denoising_steps[:, None]
    u = (total - k).clamp(min=0) / total
    schedule = 0.999 * torch.cos(0.5 * math.pi * (1.008 - u) / 1.008).square() + 0.001
    dt = functional.softplus(params["raw_dt"])
    friction = functional.softplus(params["raw_friction"])
    eta = schedule[:, None, :, None] * (dt / friction)[:, :, None, :]
    return torch.where((k < total)[:, None, :, None], eta, 1.0)


def log_one_minus_tanh2(x: Tensor) -> Tensor:
    """log(1 - tanh^2 x) without overflow."""
    size = x.abs()
    return 2.0 * (LOG_2 - size - torch.log1p(torch.exp(-2.0 * size)))


@dataclass(frozen=True)
class ChainShape:
    """What the chain must know of its members and agents beside the weights."""

    denoising_steps: Tensor
    """[P] K of each member, float."""
    sigma0: Tensor
    """[P] standard deviation of the start."""
    action_mask: Tensor
    """[A, U] 1 for real action dimensions, 0 for padding."""
    features: Tensor
    """[steps, 512] time features; steps = the largest K present."""
    ragged: bool
    """Whether members differ in K, or places are empty, so that padded steps must be dropped."""


def act(params: Mapping[str, Tensor], shape: ChainShape, obs: Tensor, noise: Tensor) -> Tensor:
    """Actions [P, A, N, U] for observations [P, A, N, O] and noise [1 + steps, P, A, N, U] (x_0 first).

    The noise of x_0 has standard deviation 1; zeros give the deterministic policy.
    """
    x, _, _ = _run(params, shape, obs, noise, with_cost=False)
    return split(torch.tanh(x), obs.shape[:2])


def draw(params: Mapping[str, Tensor], shape: ChainShape, obs: Tensor, noise: Tensor) -> Draw:
    """Actions with the terms of eq. 5 and 6; gradients flow through all steps."""
    members, agents = obs.shape[:2]
    x, cost, start = _run(params, shape, obs, noise, with_cost=True)
    mask = shape.action_mask.expand(members, -1, -1).flatten(0, 1).unsqueeze(1)
    cost = ((cost - log_one_minus_tanh2(x)) * mask).sum(-1)
    sigma0 = _per_network(shape.sigma0, agents)
    prior = -0.5 * (((start / sigma0).square() + LOG_2PI + 2.0 * sigma0.log()) * mask).sum(-1)
    size = (members, agents)
    return Draw(split(torch.tanh(x), size), split(cost, size), split(prior, size))


def _per_network(values: Tensor, agents: int) -> Tensor:
    """[P] -> [P * A, 1, 1]."""
    return values.repeat_interleave(agents)[:, None, None]


def _run(
    params: Mapping[str, Tensor], shape: ChainShape, obs: Tensor, noise: Tensor, with_cost: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """x_K, sum_k [log F_k - log B_k] per dimension (zeros if not wanted), x_0; each [P * A, N, U]."""
    agents = obs.shape[1]
    steps = shape.features.shape[0]
    flat_noise = noise.flatten(1, 2)
    sigma0 = _per_network(shape.sigma0, agents)
    # [steps, P * A, 1, U]
    eta = step_sizes(params, shape.denoising_steps, steps).flatten(0, 1).transpose(0, 1).unsqueeze(2)
    keep = 1.0 - eta / sigma0.square()
    kick = (2.0 * eta).sqrt() * flat_noise[1 : steps + 1]
    real = [_real(shape, k, agents) for k in range(steps)] if shape.ragged else None
    prepared = prepare(params, obs.flatten(0, 1), shape.features)
    path = [flat_noise[0] * sigma0]
    for k, (eta_k, keep_k, kick_k) in enumerate(zip(eta.unbind(), keep.unbind(), kick.unbind(), strict=True)):
        x = path[-1]
        following = torch.addcmul(torch.addcmul(kick_k, x, keep_k), drift(prepared, x, k), eta_k)
        path.append(torch.where(real[k], following, x) if real else following)
    cost = torch.zeros_like(path[0])
    if with_cost:
        added = _log_ratio(torch.stack(path), keep, eta, flat_noise[1 : steps + 1])
        cost = (torch.where(torch.stack(real), added, 0.0) if real else added).sum(0)
    return path[-1], cost, path[0]


def _real(shape: ChainShape, k: int, agents: int) -> Tensor:
    """Whether step k belongs to each network's chain: [P * A, 1, 1]."""
    return (shape.denoising_steps > k).repeat_interleave(agents)[:, None, None]


def _log_ratio(path: Tensor, keep: Tensor, eta: Tensor, noise: Tensor) -> Tensor:
    """log F_k - log B_k of every step and dimension, [steps, P * A, N, U]; the normalisers cancel."""
    back = torch.addcmul(path[:-1], path[1:], keep, value=-1.0)
    return back.square() / (4.0 * eta) - 0.5 * noise.square()
