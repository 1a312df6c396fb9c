"""The joint critic: an ensemble of networks from (global state, all actions) to a distribution of returns."""

from collections.abc import Mapping

import torch
from torch import Tensor

from omad_core.config import CriticConfig
from omad_core.layers import Params, flat, init_linear, linear, split
from omad_core.renorm import Batch, bounds, init_renorm, normalise, renormalise


def init_critic(config: CriticConfig, inputs: int, atoms: int, gen: torch.Generator) -> tuple[Params, Params]:
    """One member's parameters [C, ...] and BatchRenorm statistics [C, ...]; `inputs` = S + d."""
    networks = config.ensemble
    params, statistics = init_renorm("norm.0", networks, inputs, gen.device)
    for layer in range(1, config.hidden_layers + 1):
        params |= init_linear(f"hidden.{layer}", networks, inputs, config.hidden_width, gen)
        scale, running = init_renorm(f"norm.{layer}", networks, config.hidden_width, gen.device)
        params |= scale
        statistics |= running
        inputs = config.hidden_width
    return params | init_linear("last", networks, inputs, atoms, gen), statistics


def joint_input(state: Tensor, action: Tensor, real_actions: Tensor) -> Tensor:
    """[P, N, S] and [P, A, N, U] -> [P, N, S + d]; `real_actions` [d] picks the real ones of A * U."""
    joint = action.transpose(1, 2).flatten(2).index_select(2, real_actions)
    return torch.cat([state, joint], dim=-1)


def evaluate(params: Mapping[str, Tensor], statistics: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Evaluation mode: inputs [P, N, S + d] -> atoms (or logits) [P, C, N, M]."""
    size = statistics["norm.0.mean"].shape[:2]
    weights = flat(params)
    hidden = normalise(weights, statistics, "norm.0", _to_networks(x, size[1]))
    layer = 1
    while f"hidden.{layer}.weight" in weights:
        hidden = torch.relu(linear(weights, f"hidden.{layer}", hidden))
        hidden = normalise(weights, statistics, f"norm.{layer}", hidden)
        layer += 1
    return split(linear(weights, "last", hidden), size)


def train(
    params: Mapping[str, Tensor], statistics: Mapping[str, Tensor], x: Tensor, warm: Tensor
) -> tuple[Tensor, dict[str, Batch]]:
    """Training mode: as `evaluate`, and the batch's statistics by layer. `warm` [P]: renorm corrects."""
    size = statistics["norm.0.mean"].shape[:2]
    weights, within = flat(params), bounds(warm, size[1])
    batches: dict[str, Batch] = {}
    hidden, batches["norm.0"] = renormalise(weights, statistics, "norm.0", _to_networks(x, size[1]), within)
    layer = 1
    while f"hidden.{layer}.weight" in weights:
        hidden = torch.relu(linear(weights, f"hidden.{layer}", hidden))
        hidden, batches[f"norm.{layer}"] = renormalise(weights, statistics, f"norm.{layer}", hidden, within)
        layer += 1
    return split(linear(weights, "last", hidden), size), batches


def _to_networks(x: Tensor, networks: int) -> Tensor:
    """[P, N, width] -> [P * C, N, width]."""
    return x.unsqueeze(1).expand(-1, networks, -1, -1).flatten(0, 1)
