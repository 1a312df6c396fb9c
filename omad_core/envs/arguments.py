"""Arguments of a simulator, as users give them in `env.args`: known names, right types, or a clear error."""

import inspect
import math
import typing
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from omad_core.errors import ConfigError
from omad_core.settings import convert, unknown


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Named parameters of a simulator's constructor with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def check_arguments(
    args: Mapping[str, Any],
    known: Mapping[str, Any],
    owner: str,
    unsupported: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """The defaults `known`, overridden by `args`.

    Raises ConfigError for names that are unknown or `unsupported` (with the reason given there), and for wrong types.
    """
    for name in args:
        if name in unsupported:
            raise ConfigError(f"env.args.{name} is not supported by {owner}, because {unsupported[name]}")
        if name not in known:
            raise ConfigError(unknown(f"argument of {owner}", name, known))
    return {
        name: _like(name, args[name], default) if name in args else default for name, default in known.items()
    }


def _like(name: str, value: Any, default: Any) -> Any:
    """A value in the type of the argument's default; where that is None, a count or None."""
    path = f"env.args.{name}"
    if default is None:
        return None if convert(path, value, int | None) is None else _count(path, value)
    if isinstance(default, tuple):
        return _interval(path, value)
    if isinstance(default, (bool, str)):
        return convert(path, value, type(default))
    # A weight whose default is written without a fraction may still have one.
    if isinstance(default, int) and not name.endswith("_weight"):
        return _count(path, value)
    number = convert(path, value, float)
    if not math.isfinite(number):
        raise ConfigError(f"{path} = {value!r} is not finite")
    return number


def _count(path: str, value: Any) -> int:
    number: int = convert(path, value, int)
    if number < 1:
        raise ConfigError(f"{path} = {value!r} is out of range: it must be at least 1")
    return number


def _interval(path: str, value: Any) -> tuple[float, float]:
    if isinstance(value, str) or not isinstance(value, typing.Sequence) or len(value) != 2:
        raise ConfigError(f"{path} = {value!r} is not a range; write two numbers, such as [0.7, 2.0]")
    low, high = (float(convert(path, end, float)) for end in value)
    if not low < high:
        raise ConfigError(f"{path} = {value!r} is empty; the first number must be smaller than the second")
    return low, high
