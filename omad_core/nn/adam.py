"""Adam (arXiv 1412.6980) over stacked members, by torch's fused kernel: one pass over the parameters of each member."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from omad_core.layers import Params

BETA1, BETA2 = 0.5, 0.999
"""[dime]"""
EPS = 1e-8


class Adam:
    """Moments and step counts of one dictionary of parameters [P, ...], which stay where they are."""

    def __init__(self, params: Mapping[str, Tensor]) -> None:
        self.first: Params = {name: torch.zeros_like(p) for name, p in params.items()}
        self.second: Params = {name: torch.zeros_like(p) for name, p in params.items()}
        members, device = next(iter(params.values())).shape[0], next(iter(params.values())).device
        self.steps = torch.zeros(members, dtype=torch.float64, device=device)
        self._strides = [p.stride() for p in params.values()]
        own = [p.detach() for p in params.values()]
        self._params, self._first, self._second = (
            _by_member(list(kind)) for kind in (own, self.first.values(), self.second.values())
        )

    def clear(self, place: int) -> None:
        """Forget one member's moments."""
        for tensors in (self.first, self.second):
            for tensor in tensors.values():
                tensor[place].zero_()
        self.steps[place] = 0

    @torch.no_grad()
    def step(
        self, gradients: Sequence[Tensor], learning_rate: Tensor, learning: Tensor | None = None
    ) -> None:
        """One step of the members where `learning` [P] is true (None: all); the others stay as they are.

        gradients: in the order of the parameters; learning_rate: [P].
        """
        self.steps += 1.0 if learning is None else learning
        steps = self.steps.to(torch.float32).unbind()
        # What the kernel takes for "a gradient was not finite", it takes for "leave everything as it is".
        skip = None if learning is None else (~learning).to(torch.float32).unbind()
        of = _by_member([_as_lies(g, strides) for g, strides in zip(gradients, self._strides, strict=True)])
        for place, rate in enumerate(learning_rate.unbind()):
            torch._fused_adam_(
                self._params[place],
                of[place],
                self._first[place],
                self._second[place],
                [],
                [steps[place]] * len(of[place]),
                lr=rate,
                beta1=BETA1,
                beta2=BETA2,
                weight_decay=0.0,
                eps=EPS,
                amsgrad=False,
                maximize=False,
                found_inf=None if skip is None else skip[place],
            )


def _as_lies(gradient: Tensor, strides: Sequence[int]) -> Tensor:
    """A gradient with the strides of its parameter, which CUDA asks for also where an axis has length 1."""
    return gradient.contiguous().as_strided(gradient.shape, strides)


def _by_member(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Every member's rows of some tensors [P, ...]."""
    return [list(rows) for rows in zip(*(tensor.unbind() for tensor in tensors), strict=True)]
