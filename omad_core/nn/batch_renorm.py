"""BatchRenorm (arXiv 1702.03275) over stacked networks, as CrossQ and DIME use it in critics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from omad_core.nn.layers import Params, split

MOMENTUM = 0.99
"""Share of the running statistics that an update keeps."""
EPS = 1e-3
"""Added to variances."""
R_MAX = 3.0
D_MAX = 5.0
"""Bounds of r and d, as CrossQ's; `warm` decides when they apply."""


def init_renorm(name: str, networks: int, width: int, device: torch.device) -> tuple[Params, Params]:
    """One member's trainable scale and shift, then its running mean and variance; [networks, width] each."""
    ones, zeros = torch.ones(networks, width, device=device), torch.zeros(networks, width, device=device)
    return (
        {f"{name}.scale": ones.clone(), f"{name}.shift": zeros.clone()},
        {f"{name}.mean": zeros.clone(), f"{name}.var": ones.clone()},
    )


@dataclass(frozen=True)
class Batch:
    """Mean and variance of one batch, to be folded into the running statistics; [P, G, width] each."""

    mean: Tensor
    var: Tensor


def normalise(
    weights: Mapping[str, Tensor], statistics: Mapping[str, Tensor], name: str, x: Tensor
) -> Tensor:
    """Evaluation mode: running statistics. x: [P * G, N, width]; weights as `layers.flat` gives them."""
    mean, var = statistics[f"{name}.mean"].flatten(0, 1), statistics[f"{name}.var"].flatten(0, 1)
    scale = weights[f"{name}.scale"] * torch.rsqrt(var + EPS).unsqueeze(1)
    shift = weights[f"{name}.shift"] - mean.unsqueeze(1) * scale
    return torch.addcmul(shift, x, scale)


@dataclass(frozen=True)
class Bounds:
    """How far batch statistics are corrected: r within [least, most], d within [-far, far]; [P * G, 1] each."""

    least: Tensor
    most: Tensor
    far: Tensor


def bounds(warm: Tensor, networks: int) -> Bounds:
    """Those of members with `warm` [P] true; for the others r is 1 and d is 0."""
    on = warm.repeat_interleave(networks)[:, None].to(torch.float32)
    most = 1.0 + (R_MAX - 1.0) * on
    return Bounds(most.reciprocal(), most, D_MAX * on)


def renormalise(
    weights: Mapping[str, Tensor], statistics: Mapping[str, Tensor], name: str, x: Tensor, within: Bounds
) -> tuple[Tensor, Batch]:
    """Training mode: batch statistics, corrected towards the running ones within bounds.

    Gradients flow through the batch statistics and not through the corrections r and d.
    """
    size = statistics[f"{name}.mean"].shape[:2]
    mean, var, centred = _moments(x)
    r, d = _corrections(
        mean,
        var,
        statistics[f"{name}.mean"].flatten(0, 1),
        statistics[f"{name}.var"].flatten(0, 1),
        within,
    )
    y: Tensor = _Renormalise.apply(  # type: ignore[no-untyped-call]
        x, weights[f"{name}.scale"].squeeze(1), weights[f"{name}.shift"].squeeze(1), centred, var, r, d
    )
    return y, Batch(split(mean, size), split(var, size))


@torch.no_grad()
def _moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of x [P * G, N, width]: mean and variance over axis 1 [P * G, width], and x less its mean.

    Means are computed as products, which are faster than reductions.
    """
    weights = torch.full((1, 1, x.shape[1]), 1.0 / x.shape[1], device=x.device).expand(x.shape[0], -1, -1)
    mean = torch.bmm(weights, x)
    centred = x - mean
    return mean.squeeze(1), torch.bmm(weights, centred.square()).squeeze(1), centred


class _Renormalise(torch.autograd.Function):
    """y = gain (n r + d) + shift with n = (x - mean) / std; r and d are constants.

    dx = gain r / std (dy - mean(dy) - n mean(dy n)), as in batch normalisation.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, shift: Tensor, centred: Tensor, var: Tensor, r: Tensor, d: Tensor
    ) -> Tensor:
        inverse = torch.rsqrt(var + EPS)
        ctx.save_for_backward(gain, centred, inverse, r, d)
        offset = torch.addcmul(shift, gain, d).unsqueeze(1)
        return torch.addcmul(offset, centred, (gain * r * inverse).unsqueeze(1))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        gain, centred, inverse, r, d = ctx.saved_tensors
        dy = grads[0]
        rows = dy.shape[1]
        ones = torch.ones(1, 1, rows, device=dy.device).expand(dy.shape[0], -1, -1)
        total = torch.bmm(ones, dy).squeeze(1)
        # mean(dy n) / std, as it is multiplied with x - mean.
        along = torch.bmm(ones, dy * centred).squeeze(1) * inverse
        d_gain = along * r + total * d
        dx = None
        if ctx.needs_input_grad[0]:
            factor = gain * r * inverse
            dx = torch.addcmul(dy, centred, (-along * inverse / rows).unsqueeze(1))
            dx = dx.sub_((total / rows).unsqueeze(1)).mul_(factor.unsqueeze(1))
        return dx, d_gain, total, None, None, None, None


def _corrections(
    mean: Tensor, var: Tensor, running_mean: Tensor, running_var: Tensor, within: Bounds
) -> tuple[Tensor, Tensor]:
    """r and d [P * G, width] of the batch's statistics against the running ones (arXiv 1702.03275, algorithm 1)."""
    std, running_std = (var + EPS).sqrt(), (running_var + EPS).sqrt()
    r = (std / running_std).clamp(within.least, within.most)
    return r, ((mean - running_mean) / running_std).clamp(-within.far, within.far)


def fold(statistics: Mapping[str, Tensor], batches: Mapping[str, Batch], learning: Tensor) -> None:
    """Move the running statistics towards the batches', in place, where `learning` [P] is true."""
    mask = learning[:, None, None]
    with torch.no_grad():
        for name, batch in batches.items():
            for kind, statistic in (("mean", batch.mean), ("var", batch.var)):
                running = statistics[f"{name}.{kind}"]
                # A weight of 0 would not keep out what is not finite.
                running.lerp_(torch.where(mask, statistic, running), 1.0 - MOMENTUM)
