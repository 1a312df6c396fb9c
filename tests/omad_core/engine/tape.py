"""Tape: what a CUDA graph does, on a CPU. The same operations again, on the same addresses, with no Python between."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def storages(values: Any) -> list[tuple[torch.Tensor, int]]:
    """All tensors in some arguments, each with the address of its memory."""
    tensors = [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]
    return [(tensor, tensor.untyped_storage().data_ptr()) for tensor in tensors]


class Tape(TorchDispatchMode):
    """Records operations while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    @torch.no_grad()
    def replay(self) -> None:
        """Every operation again; what it made new goes where it went when it was recorded."""
        for func, args, kwargs, out in self.calls:
            given = {address for _, address in storages((args, kwargs))}
            again = func(*args, **kwargs)
            for (old, address), (new, _) in zip(storages(out), storages(again), strict=True):
                if address not in given:
                    old.copy_(new)

    def read(self) -> list[int]:
        """Addresses that were read or written and not made here, in the order in which they were met."""
        made: set[int] = set()
        found: dict[int, None] = {}
        for _, args, kwargs, out in self.calls:
            for _, address in storages((args, kwargs)):
                if address not in made:
                    found.setdefault(address)
            made |= {address for _, address in storages(out) if address not in found}
        return list(found)


def record(works: Any, device: torch.device) -> list[Any]:
    """As `omad_core.engine.graphs.record_cuda`, with tapes."""
    tapes = []
    for work in works:
        work()
        tape = Tape()
        with tape:
            work()
        tapes.append(tape)
    return [tape.replay for tape in tapes]


def call_again(works: Any, device: torch.device) -> list[Any]:
    """Replays that are the work itself."""
    return list(works)
