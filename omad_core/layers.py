"""Stacked layers: one `baddbmm` for all members and all agents (or critics) together.

Parameters are dictionaries of tensors with two leading axes, P members and G networks of a member (A agents
or C critics). Inputs and outputs are [P * G, N, width].
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Params = dict[str, Tensor]
"""Name to tensor [P, G, ...]; one member's own parameters lack the axis P."""


def init_linear(
    name: str, networks: int, inputs: int, outputs: int, gen: torch.Generator, scale: float | None = None
) -> Params:
    """One member's layer: weights ~ N(0, 1 / inputs) (or `scale`), biases 0."""
    std = 1.0 / math.sqrt(inputs) if scale is None else scale
    weight = torch.randn(networks, inputs, outputs, generator=gen, device=gen.device) * std
    return {f"{name}.weight": weight, f"{name}.bias": torch.zeros(networks, outputs, device=gen.device)}


def linear(params: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """[P * G, N, inputs] -> [P * G, N, outputs]."""
    bias = params[f"{name}.bias"].flatten(0, 1).unsqueeze(1)
    return torch.baddbmm(bias, x, params[f"{name}.weight"].flatten(0, 1))


def split(x: Tensor, size: Sequence[int]) -> Tensor:
    """[P * G, ...] -> [P, G, ...] for size (P, G)."""
    return x.reshape(*size, *x.shape[1:])


def stack(members: Sequence[Mapping[str, Tensor]]) -> Params:
    """Members' own parameters side by side: a new leading axis P."""
    return {name: torch.stack([m[name] for m in members]) for name in members[0]}


def row(params: Mapping[str, Tensor], place: int) -> Params:
    """A copy of one member's own parameters."""
    return {name: tensor[place].detach().clone() for name, tensor in params.items()}


def put_row(params: Mapping[str, Tensor], place: int, values: Mapping[str, Tensor]) -> None:
    """Write one member's own parameters into its place."""
    with torch.no_grad():
        for name, tensor in params.items():
            tensor[place].copy_(values[name])
