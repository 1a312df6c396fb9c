"""Adam (arXiv 1412.6980) over stacked members, by torch's fused kernel: one pass over the parameters of each member."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from omad_core.nn.layers import Params, over

BETA1, BETA2 = 0.5, 0.999
"""Of actors and critics [dime]."""
EPS = 1e-8


class Adam:
    """Moments and step counts of one dictionary of parameters [P, ...], which stay where they are.

    counted: the number of leading axes of which each entry has steps of its own: 1 = [P], 2 = [P, A].
    """

    def __init__(self, params: Mapping[str, Tensor], counted: int = 1, beta1: float = BETA1) -> None:
        self._beta1 = beta1
        self.first: Params = {name: torch.zeros_like(p) for name, p in params.items()}
        self.second: Params = {name: torch.zeros_like(p) for name, p in params.items()}
        one = next(iter(params.values()))
        self.steps = torch.zeros(one.shape[:counted], dtype=torch.float64, device=one.device)
        self._counted = counted
        self._strides = [p.stride() for p in params.values()]
        own = [p.detach() for p in params.values()]
        self._params, self._first, self._second = (
            _rows(list(kind), counted) for kind in (own, self.first.values(), self.second.values())
        )

    def clear(self, lane: int) -> None:
        """Forget one member's moments."""
        for tensors in (self.first, self.second):
            for tensor in tensors.values():
                tensor[lane].zero_()
        self.steps[lane] = 0

    @torch.no_grad()
    def step(
        self, gradients: Sequence[Tensor], learning_rate: Tensor, learning: Tensor | None = None
    ) -> None:
        """One step where `learning` is true (None: everywhere); the others stay as they are.

        gradients: in the order of the parameters; learning: [P], or [P, A] where so counted; learning_rate: [P].
        """
        if learning is not None and learning.ndim < self.steps.ndim:
            learning = over(learning, self.steps).expand_as(self.steps)
        self.steps += 1.0 if learning is None else learning
        steps = self.steps.to(torch.float32).flatten().unbind()
        # What the kernel takes for "a gradient was not finite", it takes for "leave everything as it is".
        skip = None if learning is None else (~learning).to(torch.float32).flatten().unbind()
        of = _rows(
            [_as_lies(g, strides) for g, strides in zip(gradients, self._strides, strict=True)],
            self._counted,
        )
        rates = over(learning_rate, self.steps).expand_as(self.steps).flatten().unbind()
        for row, rate in enumerate(rates):
            torch._fused_adam_(
                self._params[row],
                of[row],
                self._first[row],
                self._second[row],
                [],
                [steps[row]] * len(of[row]),
                lr=rate,
                beta1=self._beta1,
                beta2=BETA2,
                weight_decay=0.0,
                eps=EPS,
                amsgrad=False,
                maximize=False,
                found_inf=None if skip is None else skip[row],
            )


def _as_lies(gradient: Tensor, strides: Sequence[int]) -> Tensor:
    """A gradient with the strides of its parameter, which CUDA asks for also where an axis has length 1."""
    return gradient.contiguous().as_strided(gradient.shape, strides)


def _rows(tensors: Sequence[Tensor], counted: int) -> list[list[Tensor]]:
    """The rows of some tensors [P, ...] that have steps of their own: a member's, or an agent's of a member."""
    flattened = [tensor if counted == 1 else tensor.flatten(0, counted - 1) for tensor in tensors]
    return [list(rows) for rows in zip(*(tensor.unbind() for tensor in flattened), strict=True)]
