"""Adam (arXiv 1412.6980) over stacked members: learning rates and step counts are [P]."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from omad_core.layers import Params

BETA1, BETA2 = 0.5, 0.999
"""[dime]"""
EPS = 1e-8


class Adam:
    """Moments and step counts of one dictionary of parameters [P, ...]."""

    def __init__(self, params: Mapping[str, Tensor]) -> None:
        self.names = list(params)
        self.first: Params = {name: torch.zeros_like(p) for name, p in params.items()}
        self.second: Params = {name: torch.zeros_like(p) for name, p in params.items()}
        members, device = next(iter(params.values())).shape[0], next(iter(params.values())).device
        self.steps = torch.zeros(members, dtype=torch.float64, device=device)

    def clear(self, place: int) -> None:
        """Forget one member's moments."""
        for tensors in (self.first, self.second):
            for tensor in tensors.values():
                tensor[place].zero_()
        self.steps[place] = 0

    @torch.no_grad()
    def step(
        self,
        params: Mapping[str, Tensor],
        gradients: Sequence[Tensor],
        learning_rate: Tensor,
        learning: Tensor | None = None,
    ) -> None:
        """One step of the members where `learning` [P] is true (None: all); the others stay as they are.

        gradients: in the order of the parameters; learning_rate: [P].
        """
        self.steps += 1.0 if learning is None else learning
        count = self.steps.clamp(min=1.0)
        step = (learning_rate / (1.0 - BETA1**count)).to(torch.float32)
        correction = (1.0 - BETA2**count).rsqrt().to(torch.float32)
        if learning is None:
            self._fold(gradients)
        else:
            self._fold_some(gradients, learning)
            step = step * learning
        for name in self.names:
            denominator = self.second[name].sqrt()
            denominator.mul_(_over(correction, denominator)).add_(EPS)
            change = self.first[name].div(denominator)
            params[name].sub_(change.mul_(_over(step, change)))

    def _fold(self, gradients: Sequence[Tensor]) -> None:
        """Move both moments towards the gradients."""
        for name, gradient in zip(self.names, gradients, strict=True):
            self.first[name].lerp_(gradient, 1.0 - BETA1)
            self.second[name].mul_(BETA2).addcmul_(gradient, gradient, value=1.0 - BETA2)

    def _fold_some(self, gradients: Sequence[Tensor], learning: Tensor) -> None:
        """The same for the members where `learning` [P] is true."""
        first, second = learning * (1.0 - BETA1), learning * (1.0 - BETA2)
        for name, gradient in zip(self.names, gradients, strict=True):
            # A weight of 0 would not keep out what is not finite.
            own = torch.where(_over(learning, gradient), gradient, 0.0)
            self.first[name].lerp_(own, _over(first, own))
            self.second[name].lerp_(own.square(), _over(second, own))


def _over(values: Tensor, like: Tensor) -> Tensor:
    """[P] as it is broadcast over [P, ...]."""
    return values.view((-1,) + (1,) * (like.ndim - 1))
