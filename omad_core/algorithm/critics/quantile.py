"""The quantile head: the return as M quantile estimates per critic, eq. 9."""

from typing import Any

import torch
from torch import Tensor


def midpoints(quantiles: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """tau_m = (2m - 1) / (2M) of members with `quantiles` [P] = M, and which are real: both [P, width]."""
    m = torch.arange(width, device=quantiles.device)
    tau = (2.0 * m + 1.0) / (2.0 * quantiles[:, None])
    return tau, (m < quantiles[:, None]).to(torch.float32)


def mean(z: Tensor, real: Tensor) -> Tensor:
    """Mean of the return: z [P, C, N, M], real [P, M] -> [P, C, N]."""
    weight = real / real.sum(-1, keepdim=True)
    return (z * weight[:, None, None, :]).sum(-1)


def pooled_targets(z: Tensor, real: Tensor, drop_top: Tensor) -> tuple[Tensor, Tensor]:
    """All critics' quantiles of the next state, sorted, and the weight of each: [P, N, C * M] both.

    The C * drop_top [P] largest get weight 0 (truncation, arXiv 2005.04269), padding too; the rest share 1.
    """
    critics = z.shape[1]
    padded = torch.where(real[:, None, None, :] > 0, z, torch.inf)
    pooled = padded.transpose(1, 2).flatten(2).sort(-1).values
    kept = critics * (real.sum(-1) - drop_top)
    rank = torch.arange(pooled.shape[-1], device=z.device)
    weight = (rank < kept[:, None]).to(z.dtype) / kept[:, None]
    return torch.where(torch.isinf(pooled), 0.0, pooled), weight[:, None, :].expand_as(pooled)


def loss(z: Tensor, target: Tensor, weight: Tensor, tau: Tensor, real: Tensor, value: bool = True) -> Tensor:
    """sum_j mean_b sum_m mean_n |tau_m - 1[y_n < z_jm]| Huber_1(y_n - z_jm): [P].

    z: [P, C, N, M]; target, weight: [P, N, n], weights summing to 1 over n; tau, real: [P, M]. With `value` false the
    result is 0 and only its gradient is right, at half the cost.
    """
    result: Tensor = _QuantileHuber.apply(z, target, weight, tau, real, value)  # type: ignore[no-untyped-call]
    return result


class _QuantileHuber(torch.autograd.Function):
    """The loss with its gradient computed beside it, in few passes over the [.., M, n] differences.

    With c = clip(y - z, -1, 1): -dloss/dz = tau E[max(c, 0)] + (1 - tau) E[min(c, 0)], E being the weighted mean over
    n; and Huber = c (y - z - c / 2).
    """

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, target: Tensor, weight: Tensor, tau: Tensor, real: Tensor, value: bool
    ) -> Tensor:
        size = z.shape
        rows = z.transpose(1, 2).reshape(size[0] * size[2], size[1] * size[3], 1)
        weights = weight.reshape(rows.shape[0], 1, -1)
        difference = target.reshape(rows.shape[0], 1, -1) - rows
        above = difference.clamp(0.0, 1.0).mul_(weights).sum(-1, keepdim=True)
        below = difference.clamp(-1.0, 0.0).mul_(weights).sum(-1, keepdim=True)
        side = tau.repeat_interleave(size[2], 0).repeat(1, size[1]).unsqueeze(-1)
        scale = (real / size[2])[:, None, None, :]
        ctx.save_for_backward(-_as(torch.lerp(below, above, side), size) * scale)
        if not value:
            return torch.zeros(size[0], device=z.device)
        clipped = difference.clamp(-1.0, 1.0)
        huber = difference.sub_(clipped, alpha=0.5).mul_(clipped)
        pinball = huber.mul_(torch.where(clipped < 0, 1.0 - side, side)).mul_(weights)
        return (_as(pinball.sum(-1, keepdim=True), size) * scale).sum((1, 2, 3))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0][:, None, None, None], None, None, None, None, None


def _as(rows: Tensor, size: torch.Size) -> Tensor:
    """[P * N, C * M, 1] -> [P, C, N, M]."""
    return rows.reshape(size[0], size[2], size[1], size[3]).transpose(1, 2)
