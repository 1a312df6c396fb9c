"""Saved state: whether it fits, and bit generators as arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omad_core.envs.base import EnvState
from omad_core.errors import CheckpointError

_WORD = 2**64


def check_fit(state: EnvState, like: Mapping[str, NDArray[Any]], task: str) -> None:
    """Raise CheckpointError unless `state` has the names, shapes and types of `like`."""
    if state.keys() != like.keys():
        raise CheckpointError(
            f"saved environment does not fit task {task!r}: it holds {sorted(state)}, expected {sorted(like)}"
        )
    for name, expected in like.items():
        array = state[name]
        if array.shape != expected.shape or array.dtype != expected.dtype:
            raise CheckpointError(
                f"saved environment does not fit task {task!r}: {name} is {array.dtype}{list(array.shape)}, "
                f"expected {expected.dtype}{list(expected.shape)}"
            )


def generator(seed: int) -> np.random.Generator:
    """The generator that gymnasium and MPE make of a seed."""
    return np.random.Generator(np.random.PCG64(int(seed)))


def pack_generator(draw: np.random.Generator) -> NDArray[np.uint64]:
    """Exact state of a PCG64 generator as six words."""
    state: Any = draw.bit_generator.state
    words = [part for key in ("state", "inc") for part in divmod(state["state"][key], _WORD)]
    return np.array([*words, state["has_uint32"], state["uinteger"]], dtype=np.uint64)


def unpack_generator(words: NDArray[Any]) -> np.random.Generator:
    """The generator of `pack_generator`."""
    high, low, inc_high, inc_low, has_uint32, uinteger = (int(word) for word in words)
    bits = np.random.PCG64(0)
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": high * _WORD + low, "inc": inc_high * _WORD + inc_low},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
    return np.random.Generator(bits)
