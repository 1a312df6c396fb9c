"""The matrix products of an update: which ones it makes, and how long they take with nothing between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

PRODUCTS = {"bmm": 0, "baddbmm": 1, "mm": 0, "addmm": 1}
"""Operations that are products, and where their first factor stands among the arguments."""


@dataclass(frozen=True)
class Product:
    """One batched product: shapes and strides of both factors."""

    left: tuple[tuple[int, ...], tuple[int, ...]]
    right: tuple[tuple[int, ...], tuple[int, ...]]

    @property
    def flops(self) -> int:
        *rows, inner = self.left[0]
        count = 2 * inner * self.right[0][-1]
        for size in rows:
            count *= size
        return count


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[Product] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        first = PRODUCTS.get(func.overloadpacket.__name__)
        if first is not None:
            left, right = args[first : first + 2]
            self.found.append(Product(_layout(left), _layout(right)))
        return func(*args, **(kwargs or {}))


def _layout(tensor: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(tensor.shape), tuple(tensor.stride())


def record(work: Callable[[], object]) -> list[Product]:
    """The products that some work makes, forward and backward.

    Sums over a batch that are computed as a product with one row of ones are left out.
    """
    recorder = _Recorder()
    with recorder:
        work()
    return [p for p in recorder.found if p.left[0][-2] > 1 or p.left[1][0] == 0]


def alone(products: Sequence[Product], device: torch.device) -> Callable[[], None]:
    """The same products on factors of their own, in the same layouts and the same order."""
    factors = [(_factor(p.left, device), _factor(p.right, device)) for p in products]

    def multiply() -> None:
        for left, right in factors:
            torch.matmul(left, right)

    return multiply


def _factor(layout: tuple[tuple[int, ...], tuple[int, ...]], device: torch.device) -> Tensor:
    shape, stride = layout
    length = 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    return torch.randn(length, device=device).as_strided(shape, stride)
