"""A tanh-squashed Gaussian in the diffusion policy's place, so that what diffusion brings can be measured."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from omad_core.algorithm.policies.diffusion import LOG_2PI, Draw, log_one_minus_tanh2
from omad_core.algorithm.policies.facts import PolicyFacts
from omad_core.config import ActorConfig
from omad_core.nn.layers import ACTIVATIONS, Params, flat, init_linear, linear, split

LOG_STD_MAX = 2.0


@dataclass(frozen=True)
class Network:
    """What all members' networks share."""

    activation: str
    clamped: bool
    """Whether the log standard deviation is clamped to [least, 2]; else tanh keeps it there."""
    least: float


AS_OMAD = Network("gelu", False, -5.0)


def init_gaussian(config: ActorConfig, agents: int, obs: int, act: int, gen: torch.Generator) -> Params:
    """One member's Gaussian policies: mean and log standard deviation of each action dimension."""
    params: Params = {}
    inputs = obs
    for layer in range(config.hidden_layers):
        params |= init_linear(f"hidden.{layer}", agents, inputs, config.hidden_width, gen)
        inputs = config.hidden_width
    return params | init_linear("last", agents, inputs, 2 * act, gen, 1e-2 / math.sqrt(inputs))


def _mean_and_log_std(params: Mapping[str, Tensor], network: Network, obs: Tensor) -> tuple[Tensor, Tensor]:
    weights, hidden, activate = flat(params), obs.flatten(0, 1), ACTIVATIONS[network.activation]
    layer = 0
    while f"hidden.{layer}.weight" in weights:
        hidden = activate(linear(weights, f"hidden.{layer}", hidden))
        layer += 1
    mean, raw = split(linear(weights, "last", hidden), obs.shape[:2]).chunk(2, dim=-1)
    if network.clamped:
        return mean, raw.clamp(network.least, LOG_STD_MAX)
    return mean, network.least + 0.5 * (LOG_STD_MAX - network.least) * (torch.tanh(raw) + 1.0)


def act_gaussian(
    params: Mapping[str, Tensor], obs: Tensor, noise: Tensor, network: Network = AS_OMAD
) -> Tensor:
    """Actions [P, A, N, U] for observations [P, A, N, O] and noise [1, P, A, N, U]; zeros give the median."""
    mean, log_std = _mean_and_log_std(params, network, obs)
    return torch.tanh(mean + log_std.exp() * noise[0])


def draw_gaussian(
    params: Mapping[str, Tensor],
    sigma0: Tensor,
    action_mask: Tensor,
    obs: Tensor,
    noise: Tensor,
    network: Network = AS_OMAD,
) -> Draw:
    """Actions with their exact log density, split so that the temperature of eq. 11 means the same.

    t is the constant E[log N(x; 0, sigma0^2)], the mean of a diffusion policy's prior term; c = log density - t.
    """
    mean, log_std = _mean_and_log_std(params, network, obs)
    x = mean + log_std.exp() * noise[0]
    mask = action_mask.expand(len(obs), -1, -1).unsqueeze(2)
    density = ((-0.5 * (noise[0].square() + LOG_2PI) - log_std - log_one_minus_tanh2(x)) * mask).sum(-1)
    constant = -0.5 * (1.0 + LOG_2PI) - sigma0.log()
    prior = (constant[:, None, None] * mask.sum(-1)).expand_as(density)
    return Draw(torch.tanh(x), density - prior, prior)


@dataclass(frozen=True)
class GaussianShape:
    """What a Gaussian must know of its members and agents beside the weights."""

    sigma0: Tensor
    """[P] of the diffusion policy it stands in for."""
    action_mask: Tensor
    """[A, U] or [P, A, U]: 1 for real action dimensions, 0 for padding."""
    network: Network


class Gaussian:
    """The tanh-squashed Gaussian as a kind of policy. Implements `PolicyKind`."""

    reads: Mapping[str, Callable[[ActorConfig], float]] = {"sigma0": lambda actor: actor.sigma0}

    def noises(self, actor: ActorConfig) -> int:
        return 1

    def initialise(self, actor: ActorConfig, agents: int, obs: int, act: int, gen: torch.Generator) -> Params:
        return init_gaussian(actor, agents, obs, act, gen)

    def shape(self, facts: PolicyFacts) -> GaussianShape:
        network = Network(facts.actor.activation, facts.actor.log_std == "clamped", facts.actor.log_std_min)
        return GaussianShape(facts.numbers["sigma0"], facts.action_mask, network)

    def draw(self, params: Mapping[str, Tensor], shape: GaussianShape, obs: Tensor, noise: Tensor) -> Draw:
        return draw_gaussian(params, shape.sigma0, shape.action_mask, obs, noise, shape.network)

    def explore(
        self, params: Mapping[str, Tensor], shape: GaussianShape, obs: Tensor, noise: Tensor
    ) -> Tensor:
        return act_gaussian(params, obs, noise, shape.network)

    def act(self, params: Mapping[str, Tensor], shape: GaussianShape, obs: Tensor, noise: Tensor) -> Tensor:
        return act_gaussian(params, obs, noise, shape.network)

    def deterministic(self, params: Mapping[str, Tensor], shape: GaussianShape, obs: Tensor) -> Tensor:
        """The median."""
        noise = obs.new_zeros(1, *obs.shape[:-1], shape.action_mask.shape[-1])
        return act_gaussian(params, obs, noise, shape.network)
