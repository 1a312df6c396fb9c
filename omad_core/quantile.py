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


def loss(z: Tensor, target: Tensor, weight: Tensor, tau: Tensor, real: Tensor) -> Tensor:
    """sum_j mean_b sum_m mean_n |tau_m - 1[y_n < z_jm]| Huber_1(y_n - z_jm): [P].

    z: [P, C, N, M]; target, weight: [P, N, n], weights summing to 1 over n; tau, real: [P, M].
    """
    result: Tensor = _QuantileHuber.apply(z, target, weight, tau, real)  # type: ignore[no-untyped-call]
    return result


class _QuantileHuber(torch.autograd.Function):
    """The loss with its gradient computed beside it: the [.., M, n] differences are visited once.

    With c = clip(y - z, -1, 1): Huber = c (y - z - c / 2), and its derivative in z is -c.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, target: Tensor, weight: Tensor, tau: Tensor, real: Tensor) -> Tensor:
        difference = target[:, None, :, None, :] - z.unsqueeze(-1)
        clipped = difference.clamp(-1.0, 1.0)
        side = tau[:, None, None, :, None]
        pinball = torch.where(difference < 0, 1.0 - side, side).mul_(weight[:, None, :, None, :])
        pinball.mul_(clipped)
        scale = real[:, None, None, :] / z.shape[2]
        ctx.save_for_backward(pinball.sum(-1).mul_(scale).neg_())
        huber = pinball.mul_(difference.sub_(clipped, alpha=0.5)).sum(-1)
        return (huber * scale).sum((1, 2, 3))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0][:, None, None, None], None, None, None, None
