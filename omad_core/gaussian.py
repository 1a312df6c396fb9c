"""A tanh-squashed Gaussian in the diffusion policy's place, so that what diffusion brings can be measured."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from omad_core.chain import LOG_2PI, Draw, log_one_minus_tanh2
from omad_core.config import ActorConfig
from omad_core.layers import Params, flat, init_linear, linear, split

LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0


def init_gaussian(config: ActorConfig, agents: int, obs: int, act: int, gen: torch.Generator) -> Params:
    """One member's Gaussian policies: mean and log standard deviation of each action dimension."""
    params: Params = {}
    inputs = obs
    for layer in range(config.hidden_layers):
        params |= init_linear(f"hidden.{layer}", agents, inputs, config.hidden_width, gen)
        inputs = config.hidden_width
    return params | init_linear("last", agents, inputs, 2 * act, gen, 1e-2 / math.sqrt(inputs))


def _mean_and_log_std(params: Mapping[str, Tensor], obs: Tensor) -> tuple[Tensor, Tensor]:
    weights, hidden = flat(params), obs.flatten(0, 1)
    layer = 0
    while f"hidden.{layer}.weight" in weights:
        hidden = functional.gelu(linear(weights, f"hidden.{layer}", hidden))
        layer += 1
    mean, raw = split(linear(weights, "last", hidden), obs.shape[:2]).chunk(2, dim=-1)
    return mean, LOG_STD_MIN + 0.5 * (LOG_STD_MAX - LOG_STD_MIN) * (torch.tanh(raw) + 1.0)


def act_gaussian(params: Mapping[str, Tensor], obs: Tensor, noise: Tensor) -> Tensor:
    """Actions [P, A, N, U] for observations [P, A, N, O] and noise [1, P, A, N, U]; zeros give the median."""
    mean, log_std = _mean_and_log_std(params, obs)
    return torch.tanh(mean + log_std.exp() * noise[0])


def draw_gaussian(
    params: Mapping[str, Tensor], sigma0: Tensor, action_mask: Tensor, obs: Tensor, noise: Tensor
) -> Draw:
    """Actions with their exact log density, split so that the temperature of eq. 11 means the same.

    t is the constant E[log N(x; 0, sigma0^2)], the mean of a diffusion policy's prior term; c = log density - t.
    """
    mean, log_std = _mean_and_log_std(params, obs)
    x = mean + log_std.exp() * noise[0]
    mask = action_mask[None, :, None, :]
    density = ((-0.5 * (noise[0].square() + LOG_2PI) - log_std - log_one_minus_tanh2(x)) * mask).sum(-1)
    constant = -0.5 * (1.0 + LOG_2PI) - sigma0.log()
    prior = (constant[:, None, None] * action_mask.sum(-1)[None, :, None]).expand_as(density)
    return Draw(torch.tanh(x), density - prior, prior)
