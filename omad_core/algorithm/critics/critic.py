"""The joint critic: an ensemble of networks from (global state, all actions) to a distribution of returns."""

from collections.abc import Mapping

import torch
from torch import Tensor

from omad_core.config import CriticConfig
from omad_core.nn.batch_renorm import Batch, bounds, init_renorm, normalise, renormalise
from omad_core.nn.layers import Params, flat, init_linear, linear, split


def init_critic(config: CriticConfig, inputs: int, atoms: int, gen: torch.Generator) -> tuple[Params, Params]:
    """One member's parameters [C, ...] and BatchRenorm statistics [C, ...], if it has any; `inputs` = S + d."""
    networks = config.ensemble
    params, statistics = _init_norm(config, 0, inputs, gen.device)
    for layer in range(1, config.hidden_layers + 1):
        params |= init_linear(f"hidden.{layer}", networks, inputs, config.hidden_width, gen)
        scale, running = _init_norm(config, layer, config.hidden_width, gen.device)
        params |= scale
        statistics |= running
        inputs = config.hidden_width
    return params | init_linear("last", networks, inputs, atoms, gen), statistics


def _init_norm(config: CriticConfig, layer: int, width: int, device: torch.device) -> tuple[Params, Params]:
    if config.norm == "none":
        return {}, {}
    return init_renorm(f"norm.{layer}", config.ensemble, width, device)


def joint_input(state: Tensor, action: Tensor, real_actions: Tensor) -> Tensor:
    """[P, N, S] and [P, A, N, U] -> [P, N, S + d]; `real_actions` [d] picks the real ones of A * U."""
    joint = action.transpose(1, 2).flatten(2).index_select(2, real_actions)
    return torch.cat([state, joint], dim=-1)


def evaluate(params: Mapping[str, Tensor], statistics: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Evaluation mode: inputs [P, N, S + d] -> atoms (or logits) [P, C, N, M]."""
    size = params["last.weight"].shape[:2]
    weights = flat(params)
    hidden = _normalise(weights, statistics, 0, _to_networks(x, size[1]))
    layer = 1
    while f"hidden.{layer}.weight" in weights:
        hidden = torch.relu(linear(weights, f"hidden.{layer}", hidden))
        hidden = _normalise(weights, statistics, layer, hidden)
        layer += 1
    return split(linear(weights, "last", hidden), size)


def _normalise(
    weights: Mapping[str, Tensor], statistics: Mapping[str, Tensor], layer: int, hidden: Tensor
) -> Tensor:
    """What BatchRenorm makes of a layer in evaluation mode; the same where there is none."""
    name = f"norm.{layer}"
    return normalise(weights, statistics, name, hidden) if f"{name}.mean" in statistics else hidden


def train(
    params: Mapping[str, Tensor], statistics: Mapping[str, Tensor], x: Tensor, warm: Tensor
) -> tuple[Tensor, dict[str, Batch]]:
    """Training mode: as `evaluate`, and the batch's statistics by layer. `warm` [P]: renorm corrects."""
    size = params["last.weight"].shape[:2]
    weights, within = flat(params), bounds(warm, size[1])
    batches: dict[str, Batch] = {}

    def normalised(layer: int, hidden: Tensor) -> Tensor:
        name = f"norm.{layer}"
        if f"{name}.mean" not in statistics:
            return hidden
        hidden, batches[name] = renormalise(weights, statistics, name, hidden, within)
        return hidden

    hidden = normalised(0, _to_networks(x, size[1]))
    layer = 1
    while f"hidden.{layer}.weight" in weights:
        hidden = normalised(layer, torch.relu(linear(weights, f"hidden.{layer}", hidden)))
        layer += 1
    return split(linear(weights, "last", hidden), size), batches


def _to_networks(x: Tensor, networks: int) -> Tensor:
    """[P, N, width] -> [P * C, N, width]."""
    return x.unsqueeze(1).expand(-1, networks, -1, -1).flatten(0, 1)
