"""The diffusion chain: sampling an action and the terms of its entropy bound, eq. 1 to 8."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from omad_core.algorithm.policies.denoiser import drift, init_diffusion, prepare, time_features
from omad_core.algorithm.policies.facts import PolicyFacts
from omad_core.config import ActorConfig
from omad_core.nn.layers import Params, split

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
    """[A, U] or [P, A, U]: 1 for real action dimensions, 0 for padding."""
    features: Tensor
    """[steps, 512] time features; steps = the largest K present."""
    ragged: bool
    """Whether members differ in K, or lanes are empty, so that padded steps must be dropped."""
    unmasked: Tensor | None = None
    """[P] 1 where padded dimensions run through the network too, 0 where they stay 0; None where there are none."""
    activation: str = "gelu"


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
    """x_K, sum_k [log F_k - log B_k] per dimension (zeros if not requested), x_0; each [P * A, N, U]."""
    agents = obs.shape[1]
    steps = shape.features.shape[0]
    flat_noise = noise.flatten(1, 2)
    sigma0 = _per_network(shape.sigma0, agents)
    # [steps, P * A, 1, U]
    eta = step_sizes(params, shape.denoising_steps, steps).flatten(0, 1).transpose(0, 1).unsqueeze(2)
    keep = 1.0 - eta / sigma0.square()
    kick = (2.0 * eta).sqrt() * flat_noise[1 : steps + 1]
    real = [_real(shape, k, agents) for k in range(steps)] if shape.ragged else None
    kept = _padding_mask(shape, obs.shape[0])
    prepared = prepare(params, obs.flatten(0, 1), shape.features, shape.activation)
    path = [flat_noise[0] * sigma0 if kept is None else flat_noise[0] * sigma0 * kept]
    for k, (eta_k, keep_k, kick_k) in enumerate(zip(eta.unbind(), keep.unbind(), kick.unbind(), strict=True)):
        x = path[-1]
        following = torch.addcmul(torch.addcmul(kick_k, x, keep_k), drift(prepared, x, k), eta_k)
        following = following if kept is None else following * kept
        path.append(torch.where(real[k], following, x) if real else following)
    cost = torch.zeros_like(path[0])
    if with_cost:
        added = _log_ratio(torch.stack(path), keep, eta, flat_noise[1 : steps + 1])
        cost = (torch.where(torch.stack(real), added, 0.0) if real else added).sum(0)
    return path[-1], cost, path[0]


def _padding_mask(shape: ChainShape, members: int) -> Tensor | None:
    """What x is multiplied with, so that padded dimensions stay 0: [P * A, 1, U]; None where there are none."""
    if shape.unmasked is None:
        return None
    mask = shape.action_mask.expand(members, -1, -1)
    return torch.maximum(mask, shape.unmasked[:, None, None]).flatten(0, 1).unsqueeze(1)


def _real(shape: ChainShape, k: int, agents: int) -> Tensor:
    """Whether step k belongs to each network's chain: [P * A, 1, 1]."""
    return (shape.denoising_steps > k).repeat_interleave(agents)[:, None, None]


def _log_ratio(path: Tensor, keep: Tensor, eta: Tensor, noise: Tensor) -> Tensor:
    """log F_k - log B_k of every step and dimension, [steps, P * A, N, U]; the normalisers cancel."""
    back = torch.addcmul(path[:-1], path[1:], keep, value=-1.0)
    return back.square() / (4.0 * eta) - 0.5 * noise.square()


class Diffusion:
    """The diffusion chain as a kind of policy. Implements `PolicyKind`."""

    reads: Mapping[str, Callable[[ActorConfig], float]] = {
        "denoising_steps": lambda actor: actor.denoising_steps,
        "sigma0": lambda actor: actor.sigma0,
        "unmasked": lambda actor: float(not actor.mask_padding),
    }

    def noises(self, actor: ActorConfig) -> int:
        """x_0 and one a denoising step."""
        return 1 + actor.denoising_steps

    def initialise(self, actor: ActorConfig, agents: int, obs: int, act: int, gen: torch.Generator) -> Params:
        return init_diffusion(actor, agents, obs, act, gen)

    def shape(self, facts: PolicyFacts) -> ChainShape:
        return ChainShape(
            denoising_steps=facts.numbers["denoising_steps"],
            sigma0=facts.numbers["sigma0"],
            action_mask=facts.action_mask,
            features=time_features(facts.noises - 1, facts.action_mask.device),
            activation=facts.actor.activation,
            ragged=facts.ragged,
            unmasked=facts.numbers["unmasked"] if facts.padded else None,
        )

    def draw(self, params: Mapping[str, Tensor], shape: ChainShape, obs: Tensor, noise: Tensor) -> Draw:
        return draw(params, shape, obs, noise)

    def explore(self, params: Mapping[str, Tensor], shape: ChainShape, obs: Tensor, noise: Tensor) -> Tensor:
        """The chain explores by itself: nothing is added."""
        return act(params, shape, obs, noise)

    def act(self, params: Mapping[str, Tensor], shape: ChainShape, obs: Tensor, noise: Tensor) -> Tensor:
        return act(params, shape, obs, noise)

    def deterministic(self, params: Mapping[str, Tensor], shape: ChainShape, obs: Tensor) -> Tensor:
        """x_0 = 0 and all eps = 0."""
        noises = 1 + shape.features.shape[0]
        return act(params, shape, obs, obs.new_zeros(noises, *obs.shape[:-1], shape.action_mask.shape[-1]))
