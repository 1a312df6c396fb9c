"""Settings: frozen dataclasses whose fields carry a sentence and bounds, addressed by dotted paths.

One grammar for all: `actor.learning_rate=1e-3` on a command line, in TOML and in a search space is the same
path, is converted and checked by the same code, and an unknown one is refused with the nearest known.
"""

import dataclasses
import difflib
import functools
import json
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from typing import Any, TypeVar

from omad_core.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """What is known of one field beside its type and default."""

    help: str
    low: float | None = None
    high: float | None = None
    structure: bool = False
    """Members of one population must agree on it."""
    idle: str = ""
    """What to do instead of asking for its lowest value, with which nothing is learned; empty where that learns.

    Stored settings may have that value.
    """


def setting(
    default: Any = MISSING,
    help: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    structure: bool = False,
    idle: str = "",
    factory: Callable[[], Any] | None = None,
) -> Any:
    """A dataclass field with its sentence and inclusive bounds."""
    metadata = {"setting": Setting(help, low, high, structure, idle)}
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def fields(cls: type) -> Iterator[tuple[str, Any, Setting]]:
    """Every leaf below a settings dataclass: (dotted path, type, Setting)."""
    for path, (kind, info) in _leaves(cls).items():
        yield path, kind, info


_hints = functools.cache(typing.get_type_hints)
"""Types of a class's fields; reading annotations is slow, and they do not change."""


@functools.cache
def _leaves(cls: type) -> Mapping[str, tuple[Any, Setting]]:
    """Type and Setting by dotted path."""
    hints = _hints(cls)
    leaves: dict[str, tuple[Any, Setting]] = {}
    for f in dataclasses.fields(cls):
        kind = hints[f.name]
        if dataclasses.is_dataclass(kind):
            below = _leaves(typing.cast(type, kind))
            leaves |= {f"{f.name}.{path}": leaf for path, leaf in below.items()}
        else:
            leaves[f.name] = kind, f.metadata["setting"]
    return leaves


def walk(config: Any) -> Iterator[tuple[str, Any, Setting]]:
    """Every leaf of a settings object: (dotted path, value, Setting)."""
    for path, _, info in fields(type(config)):
        yield path, get(config, path), info


def convert_requested(cls: type, path: str, value: Any) -> Any:
    """A value that a person asks for, in the type of its setting. Raises ConfigError, also where it learns nothing."""
    kind, info = leaf(cls, path)
    converted = convert(path, value, kind)
    refuse_idle(path, converted, info)
    return converted


def refuse_idle(path: str, value: Any, info: Setting) -> None:
    """Refuse a value with which nothing is learned. Raises ConfigError."""
    if info.idle and value == info.low:
        raise ConfigError(f"{path} = {value:g} learns nothing: {info.idle}")


def get(config: Any, path: str) -> Any:
    """Value at a dotted path. Raises ConfigError for an unknown path."""
    leaf(type(config), path)
    for name in path.split("."):
        # an argument that is not given is left to the simulator: None
        config = config.get(name) if isinstance(config, Mapping) else getattr(config, name)
    return config


def leaf(cls: type, path: str) -> tuple[Any, Setting]:
    """Type and Setting at a dotted path. Raises ConfigError naming the nearest known path."""
    known = _leaves(cls)
    head, _, rest = path.partition(".args.")
    if rest and f"{head}.args" in known:
        return Any, known[f"{head}.args"][1]
    if path not in known:
        raise ConfigError(unknown("setting", path, known))
    return known[path]


def unknown(what: str, name: str, known: typing.Iterable[str]) -> str:
    """The sentence for a name that does not exist, with the nearest one that does."""
    names = sorted(known)
    near = _by_initials(name, names) or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if not near:
        last = {n.rsplit(".", 1)[-1]: n for n in names}
        near = [last[n] for n in difflib.get_close_matches(name.rsplit(".", 1)[-1], last, n=1, cutoff=0.6)]
    hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(names) or 'none'}"
    return f"unknown {what} {name!r}; {hint}"


def _by_initials(name: str, names: list[str]) -> list[str]:
    """`actor.lr` for `actor.learning_rate`; those of the same group first."""
    group, _, short = name.rpartition(".")
    if len(short) < 2:
        return []
    matches = [
        n for n in names if "".join(word[0] for word in n.rpartition(".")[2].split("_") if word) == short
    ]
    return sorted(matches, key=lambda n: n.rpartition(".")[0] != group)


def replace(config: T, values: Mapping[str, Any]) -> T:
    """A copy with the values at dotted paths exchanged, all checked together.

    A class may have a method `implied(before, values)`: what given values say of settings that are not given.
    """
    implied = getattr(type(config), "implied", None)
    if implied is not None:
        values = {**implied(config, values), **values}
    nested: dict[str, Any] = {}
    for path, value in values.items():
        kind, _ = leaf(type(config), path)
        node = nested
        *parents, name = path.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = convert(path, value, kind)
    return _replace(config, nested)


def _replace(config: T, nested: Mapping[str, Any]) -> T:
    changes: dict[str, Any] = {}
    for name, value in nested.items():
        old = getattr(config, name)
        if dataclasses.is_dataclass(old):
            changes[name] = _replace(old, value)
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            changes[name] = {**old, **value}
        else:
            changes[name] = value
    return typing.cast(T, dataclasses.replace(typing.cast(Any, config), **changes))


def to_dict(config: Any) -> dict[str, Any]:
    """Flat, JSON-ready: dotted path to value."""
    return {path: dict(value) if isinstance(value, Mapping) else value for path, value, _ in walk(config)}


def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
    """The inverse of `to_dict`; absent paths keep their defaults, unknown ones are refused."""
    return replace(cls(), values)


def convert(path: str, value: Any, kind: Any) -> Any:
    """A value (or its text, from a command line) in the type of its field. Raises ConfigError."""
    if kind is Any:
        return _parse_scalar(value)
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise ConfigError(f"{path} = {value!r} is not one of {', '.join(map(str, choices))}")
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None or (isinstance(value, str) and value.lower() == "none"):
            return None
        if {int, float} <= set(typing.get_args(kind)):
            number = _to_float(path, value)
            return int(number) if number.is_integer() else number
        return convert(path, value, next(k for k in typing.get_args(kind) if k is not type(None)))
    if kind is bool:
        return _to_bool(path, value)
    if kind is int:
        return _to_int(path, value)
    if kind is float:
        return _to_float(path, value)
    if kind is str:
        if not isinstance(value, str):
            raise ConfigError(f"{path} = {value!r} is not text")
        return value
    return _to_mapping(path, value)


def _parse_scalar(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _to_bool(path: str, value: Any) -> bool:
    spellings = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in spellings:
        return spellings[value.lower()]
    raise ConfigError(f"{path} = {value!r} is not true or false")


def _to_int(path: str, value: Any) -> int:
    number = _to_float(path, value)
    if not math.isfinite(number) or number != int(number):
        raise ConfigError(f"{path} = {value!r} is not a whole number")
    return (
        int(value.replace("_", ""))
        if isinstance(value, str) and value.lstrip("+-").isdigit()
        else int(number)
    )


def _to_float(path: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ConfigError(f"{path} = {value!r} is not a number")
    try:
        return float(value)
    except ValueError:
        raise ConfigError(f"{path} = {value!r} is not a number") from None


def _to_mapping(path: str, value: Any) -> dict[str, Any]:
    parsed = _parse_scalar(value)
    if not isinstance(parsed, Mapping):
        raise ConfigError(f"{path} = {value!r} is not a table of names and values")
    return dict(parsed)


def check(config: Any, prefix: str = "") -> None:
    """Refuse an object whose settings are of the wrong type or out of bounds. Raises ConfigError."""
    kind: type = type(config)
    hints = _hints(kind)
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            check(value, f"{prefix}{f.name}.")
            continue
        if "setting" not in f.metadata:  # structured parts, which their own class checks
            continue
        path = prefix + f.name
        converted = convert(path, value, hints[f.name])
        check_bounds(path, converted, f.metadata["setting"])


def check_bounds(path: str, value: Any, info: Setting) -> None:
    """Refuse a number outside the bounds of its setting. Raises ConfigError."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return
    low, high = info.low, info.high
    if math.isnan(value) or (low is not None and value < low) or (high is not None and value > high):
        raise ConfigError(f"{path} = {value} is out of range: it must lie between {low:g} and {high:g}")
