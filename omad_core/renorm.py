"""BatchRenorm (arXiv 1702.03275) over stacked networks, as CrossQ and DIME use it in critics."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from omad_core.layers import Params, split

MOMENTUM = 0.99
EPS = 1e-3
R_MAX = 3.0
D_MAX = 5.0


def init_renorm(name: str, networks: int, width: int, device: torch.device) -> tuple[Params, Params]:
    """One member's trainable scale and shift, and its running statistics (not trained)."""
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


def normalise(params: Mapping[str, Tensor], statistics: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Evaluation mode: running statistics. x: [P * G, N, width]."""
    mean, var = statistics[f"{name}.mean"].flatten(0, 1), statistics[f"{name}.var"].flatten(0, 1)
    scale = params[f"{name}.scale"].flatten(0, 1) * torch.rsqrt(var + EPS)
    shift = params[f"{name}.shift"].flatten(0, 1) - mean * scale
    return torch.addcmul(shift.unsqueeze(1), x, scale.unsqueeze(1))


def renormalise(
    params: Mapping[str, Tensor], statistics: Mapping[str, Tensor], name: str, x: Tensor, warm: Tensor
) -> tuple[Tensor, Batch]:
    """Training mode: batch statistics, corrected towards the running ones where `warm` [P] is true.

    Gradients flow through the batch statistics and not through the corrections r and d.
    """
    size = statistics[f"{name}.mean"].shape[:2]
    var, mean = torch.var_mean(x, dim=1, correction=0)
    r, d = _corrections(
        mean.detach(),
        var.detach(),
        statistics[f"{name}.mean"].flatten(0, 1),
        statistics[f"{name}.var"].flatten(0, 1),
        warm.repeat_interleave(size[1])[:, None],
    )
    gain = params[f"{name}.scale"].flatten(0, 1)
    scale = gain * r * torch.rsqrt(var + EPS)
    shift = params[f"{name}.shift"].flatten(0, 1) + gain * d - mean * scale
    y = torch.addcmul(shift.unsqueeze(1), x, scale.unsqueeze(1))
    return y, Batch(split(mean.detach(), size), split(var.detach(), size))


def _corrections(
    mean: Tensor, var: Tensor, running_mean: Tensor, running_var: Tensor, warm: Tensor
) -> tuple[Tensor, Tensor]:
    std, running_std = (var + EPS).sqrt(), (running_var + EPS).sqrt()
    r = (std / running_std).clamp(1.0 / R_MAX, R_MAX)
    d = ((mean - running_mean) / running_std).clamp(-D_MAX, D_MAX)
    return torch.where(warm, r, 1.0), torch.where(warm, d, 0.0)


def fold(statistics: Mapping[str, Tensor], batches: Mapping[str, Batch], learning: Tensor) -> None:
    """Move the running statistics towards the batches', in place, where `learning` [P] is true."""
    weight = ((1.0 - MOMENTUM) * learning.to(torch.float32))[:, None, None]
    with torch.no_grad():
        for name, batch in batches.items():
            statistics[f"{name}.mean"].lerp_(batch.mean, weight)
            statistics[f"{name}.var"].lerp_(batch.var, weight)
