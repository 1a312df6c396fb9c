"""Gradients of stacked members: clipped and measured, each member's by itself."""

from collections.abc import Sequence

import torch
from torch import Tensor

from omad_core.nn.layers import over


def clip(gradients: Sequence[Tensor], bound: Tensor) -> list[Tensor]:
    """Every entry within its member's bound [P]."""
    low = -bound
    return [gradient.clamp(over(low, gradient), over(bound, gradient)) for gradient in gradients]


@torch.no_grad()
def norm(gradients: Sequence[Tensor]) -> Tensor:
    """Norm of each member's gradient: [P]."""
    norms = [torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients]
    whole: Tensor = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    return whole
