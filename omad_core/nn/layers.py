"""Stacked layers: one `baddbmm` for all members and all agents (or critics) together.

Parameters are dictionaries of tensors with two leading axes, P members and G networks of a member (A agents
or C critics). Inputs and outputs are [P * G, N, width].
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

NARROW = 32
"""On a CPU, a product of fewer columns is computed as its transpose, which is up to ten times faster there."""

Params = dict[str, Tensor]
"""Name to tensor [P, G, ...]; one member's own parameters lack the axis P."""


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "relu": torch.relu,
    "mish": functional.mish,
}


def init_linear(
    name: str, networks: int, inputs: int, outputs: int, gen: torch.Generator, scale: float | None = None
) -> Params:
    """One member's layer: weights ~ N(0, 1 / inputs) (or `scale`), biases 0."""
    std = 1.0 / math.sqrt(inputs) if scale is None else scale
    weight = torch.randn(networks, inputs, outputs, generator=gen, device=gen.device) * std
    return {f"{name}.weight": weight, f"{name}.bias": torch.zeros(networks, outputs, device=gen.device)}


def flat(params: Mapping[str, Tensor]) -> Params:
    """Parameters as `linear` takes them: weights [P * G, inputs, outputs], vectors [P * G, 1, width]."""
    joined = {name: tensor.flatten(0, 1) for name, tensor in params.items()}
    return {name: tensor.unsqueeze(1) if tensor.ndim == 2 else tensor for name, tensor in joined.items()}


def linear(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """[P * G, N, inputs] -> [P * G, N, outputs], with weights as `flat` gives them."""
    bias, weight = weights[f"{name}.bias"], weights[f"{name}.weight"]
    scripted: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if weight.shape[-1] < NARROW and weight.is_cpu and not scripted:  # TorchScript keeps no functions of ours
        product: Tensor = _Narrow.apply(x, weight)  # type: ignore[no-untyped-call]
        return product + bias
    return torch.baddbmm(bias, x, weight)


class _Narrow(torch.autograd.Function):
    """x @ weight for a weight of few columns: what would have few columns is computed transposed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.bmm(weight.mT.contiguous(), x.mT).mT.contiguous()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        dx = torch.bmm(grads[0], weight.mT.contiguous()) if ctx.needs_input_grad[0] else None
        return dx, torch.bmm(grads[0].mT, x).mT if ctx.needs_input_grad[1] else None


def split(x: Tensor, size: Sequence[int]) -> Tensor:
    """[P * G, ...] -> [P, G, ...] for size (P, G)."""
    return x.reshape(*size, *x.shape[1:])


def real_columns(widths: Sequence[int]) -> Tensor:
    """[G, widest] for networks of these widths: 1 in the columns that a network has, 0 in its padding."""
    return (torch.arange(max(widths)) < torch.tensor(widths)[:, None]).float()


def over(values: Tensor, like: Tensor) -> Tensor:
    """[P] as it is broadcast over [P, ...]."""
    return values.view((-1,) + (1,) * (like.ndim - 1))


def of_agent(tensor: Tensor, agent: Tensor, axis: int = 1) -> Tensor:
    """Of a tensor [..., P, A, ...] whose agents lie at `axis`, those of `agent` [P]: A becomes 1."""
    index = agent.view(*(-1 if at == axis - 1 else 1 for at in range(tensor.ndim)))
    size = [1 if at == axis else length for at, length in enumerate(tensor.shape)]
    return tensor.gather(axis, index.expand(size))


def write(params: Mapping[str, Tensor], values: Mapping[str, Tensor], where: Tensor) -> None:
    """Give members where `where` [P] is true other values, in place."""
    with torch.no_grad():
        for name, tensor in params.items():
            tensor.copy_(torch.where(over(where, tensor), values[name], tensor))


def move(
    params: Mapping[str, Tensor], towards: Mapping[str, Tensor], share: float | Tensor, where: Tensor
) -> None:
    """Move members where `where` [P] is true by a share (or theirs, [P]) of the way to other values, in place."""
    with torch.no_grad():
        for name, tensor in params.items():
            # A share of 0 would not keep out what is not finite.
            own = over(share, tensor) if isinstance(share, Tensor) else share
            tensor.lerp_(torch.where(over(where, tensor), towards[name], tensor), own)


def stack(members: Sequence[Mapping[str, Tensor]]) -> Params:
    """Members' own parameters side by side: a new leading axis P."""
    return {name: torch.stack([m[name] for m in members]) for name in members[0]}


def row(params: Mapping[str, Tensor], lane: int) -> Params:
    """A copy of one member's own parameters."""
    return {name: tensor[lane].detach().clone() for name, tensor in params.items()}


def put_row(params: Mapping[str, Tensor], lane: int, values: Mapping[str, Tensor]) -> None:
    """Write one member's own parameters into its lane."""
    with torch.no_grad():
        for name, tensor in params.items():
            tensor[lane].copy_(values[name])
