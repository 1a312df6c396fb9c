"""Noise and batch indices for many updates at a time, each member's own, padded to the program's shape."""

import torch
from torch import Tensor

from omad_core.streams import Stream, generator


class NoiseBlocks:
    """Standard normal draws [1 + steps, P, ...] by position, drawn `length` positions at a time.

    A member's block is a function of (its seed, stream, block number) and has the member's own unpadded shape, since
    a padded draw would be other numbers. Padding stays 0.
    """

    def __init__(
        self, stream: Stream, length: int, capacity: int, tail: tuple[int, ...], device: torch.device
    ) -> None:
        self._stream, self._length, self._tail, self._device = stream, length, tail, device
        self._buffer = torch.zeros(length, 0, capacity, *tail, device=device)
        self._block: list[int | None] = [None] * capacity

    def resize(self, rows: int) -> None:
        """Make room for chains of `rows` = 1 + K noises; all blocks are drawn again when asked for."""
        self._buffer = torch.zeros(self._length, rows, len(self._block), *self._tail, device=self._device)
        self._block = [None] * len(self._block)

    def forget(self, place: int) -> None:
        """Another member takes this place."""
        self._buffer[:, :, place].zero_()
        self._block[place] = None

    def at(self, position: int, place: int, seed: int, rows: int) -> None:
        """Make sure that the member's noise for `position` is in the buffer."""
        block = position // self._length
        if self._block[place] == block:
            return
        gen = generator(self._device, seed, self._stream, block)
        drawn = torch.randn(self._length, rows, *self._tail, generator=gen, device=self._device)
        self._buffer[:, :rows, place].copy_(drawn)
        self._block[place] = block

    def gather(self, positions: list[int]) -> Tensor:
        """[1 + steps, P, ...]: each member's noise at its own position (a view where all agree)."""
        offsets = [p % self._length for p in positions]
        if len(set(offsets)) == 1:
            return self._buffer[offsets[0]]
        columns = [self._buffer[offset, :, place] for place, offset in enumerate(offsets)]
        return torch.stack(columns, dim=1)


class IndexBlocks:
    """Random integers [P, B] by position, uniform over 62 bits, to be reduced modulo a replay's size."""

    def __init__(self, length: int, capacity: int, batch: int, device: torch.device) -> None:
        self._length, self._device = length, device
        self._buffer = torch.zeros(length, capacity, batch, dtype=torch.int64, device=device)
        self._block: list[int | None] = [None] * capacity

    def forget(self, place: int) -> None:
        """Another member takes this place."""
        self._block[place] = None

    def at(self, position: int, place: int, seed: int) -> None:
        """Make sure that the member's indices for `position` are in the buffer."""
        block = position // self._length
        if self._block[place] == block:
            return
        gen = generator(self._device, seed, Stream.BATCH, block)
        shape = (self._length, self._buffer.shape[2])
        self._buffer[:, place] = torch.randint(0, 2**62, shape, generator=gen, device=self._device)
        self._block[place] = block

    def gather(self, positions: list[int]) -> Tensor:
        """[P, B]: each member's indices at its own position."""
        offsets = [p % self._length for p in positions]
        if len(set(offsets)) == 1:
            return self._buffer[offsets[0]]
        return torch.stack([self._buffer[offset, place] for place, offset in enumerate(offsets)])
