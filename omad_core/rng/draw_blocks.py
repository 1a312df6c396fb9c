"""Random numbers for many updates at a time, each member's own, padded to the program's shape."""

from typing import Literal

import torch
from torch import Tensor

from omad_core.rng.streams import generator

DrawKind = Literal["normal", "uniform", "integer", "permutation"]
"""Standard normal; uniform in [0, 1); integers, uniform over 62 bits; permutations along the last axis."""


class DrawBlocks:
    """Draws [rows, P, *shape] by position, drawn `length` positions at a time.

    A member's block is a function of (its seed, stream, block number) and has the member's own unpadded rows, since
    a padded draw would be other numbers. Padding stays 0.
    """

    def __init__(
        self,
        stream: int,
        kind: DrawKind,
        length: int,
        capacity: int,
        shape: tuple[int, ...],
        device: torch.device,
    ) -> None:
        self._stream, self._kind, self._length, self._shape, self._device = (
            stream,
            kind,
            length,
            shape,
            device,
        )
        self._block: list[int | None] = [None] * capacity
        self.resize(1)

    def resize(self, rows: int) -> None:
        """Make room for draws of `rows`; all blocks are drawn again when they are asked for."""
        size = (self._length, rows, len(self._block), *self._shape)
        self._buffer = torch.zeros(size, dtype=dtype_of(self._kind), device=self._device)
        self._block = [None] * len(self._block)

    def start(self, lane: int, rows: int) -> None:
        """Another member takes this lane; the members now present draw up to `rows`."""
        if rows != self._buffer.shape[1]:
            self.resize(rows)
        self._buffer[:, :, lane].zero_()
        self._block[lane] = None

    def at(self, position: int, lane: int, seed: int, rows: int = 1) -> None:
        """Make sure that the member's draw for `position` is in the buffer."""
        block = position // self._length
        if self._block[lane] == block:
            return
        gen = generator(self._device, seed, self._stream, block)
        drawn = draw(self._kind, (self._length, rows, *self._shape), gen)
        self._buffer[:, :rows, lane].copy_(drawn)
        self._block[lane] = block

    def gather(self, positions: list[int]) -> Tensor:
        """[rows, P, *shape]: each member's draw at its own position (a view where all agree)."""
        offsets = [p % self._length for p in positions]
        if len(set(offsets)) == 1:
            return self._buffer[offsets[0]]
        columns = [self._buffer[offset, :, lane] for lane, offset in enumerate(offsets)]
        return torch.stack(columns, dim=1)


def dtype_of(kind: DrawKind) -> torch.dtype:
    """Type of the numbers of a kind."""
    return torch.int64 if kind in ("integer", "permutation") else torch.float32


def draw(kind: DrawKind, size: tuple[int, ...], gen: torch.Generator) -> Tensor:
    """Random numbers of a kind, on the generator's device."""
    if kind == "normal":
        return torch.randn(size, generator=gen, device=gen.device)
    if kind == "integer":
        return torch.randint(0, 2**62, size, generator=gen, device=gen.device)
    uniform = torch.rand(size, generator=gen, device=gen.device)
    return uniform if kind == "uniform" else uniform.argsort(-1)
