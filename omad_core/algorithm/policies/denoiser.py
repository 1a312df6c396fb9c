"""The actor's network f_theta(x_k, o, k) of eq. 2: one per agent, all agents and members in one program.

The first hidden layer is linear in (x, o, time), so what comes from the observation and from the time features
is computed once a chain (`prepare`) and only x's part once a step (`drift`).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from omad_core.config import ActorConfig
from omad_core.nn.layers import ACTIVATIONS, Params, flat, init_linear, linear

TIME_FREQUENCIES = 256
LAST_LAYER_SCALE = 1e-8
"""So small that f = 0 at the start: the first policy is the squashed noise process [dime]."""


def init_diffusion(config: ActorConfig, agents: int, obs: int, act: int, gen: torch.Generator) -> Params:
    """One member's diffusion policies; `raw_dt` and `raw_friction` pass through softplus, eq. 4."""
    params = init_denoiser(config, agents, obs, act, gen, LAST_LAYER_SCALE)
    params["raw_dt"] = torch.full((agents, 1), inverse_softplus(config.first_dt), device=gen.device)
    params["raw_friction"] = torch.full((agents, act), inverse_softplus(1.0), device=gen.device)
    return params


def init_denoiser(
    config: ActorConfig, agents: int, obs: int, act: int, gen: torch.Generator, last: float | None
) -> Params:
    """One member's networks f_theta; `last`: the last layer's scale, None for that of the others."""
    width = config.hidden_width
    params: Params = {}
    params |= init_linear("time.0", agents, 2 * TIME_FREQUENCIES, width, gen)
    params |= init_linear("time.1", agents, width, width, gen)
    joined = init_linear("join", agents, act + obs + width, width, gen)
    params |= {
        "join.x": joined["join.weight"][:, :act].contiguous(),
        "join.obs": joined["join.weight"][:, act : act + obs].contiguous(),
        "join.time": joined["join.weight"][:, act + obs :].contiguous(),
        "join.bias": joined["join.bias"],
    }
    for layer in range(1, config.hidden_layers):
        params |= init_linear(f"hidden.{layer}", agents, width, width, gen)
    return params | init_linear("last", agents, width, act, gen, last)


def inverse_softplus(value: float) -> float:
    """x with softplus(x) = value."""
    return value + math.log(-math.expm1(-value))


def time_features(steps: int, device: torch.device) -> Tensor:
    """[steps, 512]: sines and cosines of k with frequencies from 0.1 to 100 [dime]."""
    frequency = torch.linspace(0.1, 100.0, TIME_FREQUENCIES, dtype=torch.float64)
    phase = torch.arange(steps, dtype=torch.float64)[:, None] * frequency
    return torch.cat([phase.sin(), phase.cos()], dim=1).to(device=device, dtype=torch.float32)


@dataclass(frozen=True)
class ChainInputs:
    """What stays the same along a chain."""

    weights: Mapping[str, Tensor]
    """All parameters as `flat` gives them."""
    obs: Tensor
    """[P * A, N, H] the observation's part of the first hidden layer."""
    time: tuple[Tensor, ...]
    """[P * A, 1, H] the part of each step, bias included."""
    activation: Callable[[Tensor], Tensor]


def prepare(
    params: Mapping[str, Tensor], obs: Tensor, features: Tensor, activation: str = "gelu"
) -> ChainInputs:
    """Observations [P * A, N, O] and time features [K, 512] through their parts of the first layer."""
    weights, activate = flat(params), ACTIVATIONS[activation]
    hidden = activate(linear(weights, "time.0", features.expand(obs.shape[0], -1, -1)))
    hidden = linear(weights, "time.1", hidden)
    time = torch.baddbmm(weights["join.bias"], hidden, weights["join.time"])
    return ChainInputs(weights, torch.bmm(obs, weights["join.obs"]), time.unsqueeze(2).unbind(1), activate)


def drift(prepared: ChainInputs, x: Tensor, k: int) -> Tensor:
    """f_theta(x_k, o, k): [P * A, N, U] -> [P * A, N, U]."""
    return drift_at(prepared, x, prepared.time[k])


def drift_at(prepared: ChainInputs, x: Tensor, time: Tensor) -> Tensor:
    """As `drift`, for the part `time` of any steps: [P * A, 1, H], or [P * A, N, H] where rows differ in k."""
    weights, activate = prepared.weights, prepared.activation
    hidden = activate(torch.baddbmm(prepared.obs, x, weights["join.x"]) + time)
    layer = 1
    while f"hidden.{layer}.weight" in weights:
        hidden = activate(linear(weights, f"hidden.{layer}", hidden))
        layer += 1
    return linear(weights, "last", hidden)
