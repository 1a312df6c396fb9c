"""What an environment answered, as numbers: taken in the forms that most libraries take, else refused by name."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omad_core.envs.finiteness import LARGEST, beyond
from omad_core.errors import EnvironmentFailed, NotFinite


def of_reset(task: str, answer: Any) -> Mapping[Any, Any]:
    """Observations by agent, with or without infos. Raises EnvironmentFailed."""
    observations = answer[0] if isinstance(answer, tuple) and answer else answer
    return _mapping(task, "reset", "observations", observations)


def of_step(task: str, answer: Any) -> Sequence[Mapping[Any, Any]]:
    """Observations, rewards, terminations and truncations by agent; infos may be missing. Raises EnvironmentFailed."""
    count = len(answer) if isinstance(answer, Sequence) else 1
    old = (
        count == 4
        and isinstance(answer[3], Mapping)
        and any(isinstance(v, Mapping) for v in answer[3].values())
    )
    if count not in (4, 5) or old:
        raise EnvironmentFailed(
            f"{task}: step gave {count} value{'s' if count != 1 else ''}; a ParallelEnv gives observations, rewards, "
            "terminations, truncations and infos"
        )
    names = ("observations", "rewards", "terminations", "truncations")
    return [_mapping(task, "step", name, part) for name, part in zip(names, answer, strict=False)]


def _mapping(task: str, call: str, what: str, value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise EnvironmentFailed(f"{task}: {call} gave {type(value).__name__} as {what}, not a dict by agent")
    return value


def numbers(task: str, what: str, value: Any, shape: Sequence[int]) -> NDArray[np.float64]:
    """An array of a shape, where axes of length one may be missing or too many. Raises EnvironmentFailed."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise EnvironmentFailed(
            f"{task}: {what} is {_short(value)}, not numbers of shape {list(shape)}"
        ) from None
    if _long_axes(array.shape) != _long_axes(shape):
        raise EnvironmentFailed(f"{task}: {what} has shape {list(array.shape)}, its space says {list(shape)}")
    return array.reshape(shape)


def _long_axes(shape: Sequence[int]) -> list[int]:
    return [size for size in shape if size != 1]


def number(task: str, what: str, value: Any) -> float:
    """One number, also as an array of one. Raises EnvironmentFailed."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise EnvironmentFailed(f"{task}: {what} is {_short(value)}, not a number") from None
    if array.size != 1 or value is None:
        raise EnvironmentFailed(f"{task}: {what} is {_short(value)}, not a number")
    return float(array.reshape(()))


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:60]} ..."


def refuse_not_finite(task: str, what: str, when: str, values: Any) -> None:
    """Raise NotFinite where a number cannot be trained with."""
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    bad = array[~(np.abs(array) < LARGEST)]
    if bad.size:
        value, size = float(bad[0]), f" in {bad.size} of {array.size} numbers" if array.size > 1 else ""
        raise NotFinite(f"{task}: {what} was {value:g}{size} {when}{beyond(value)}")
