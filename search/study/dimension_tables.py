"""Dimensions as tables: how a study file (and a stored spec) writes them, and nothing else is accepted.

`gamma = { low = 0.97, high = 0.997 }`, `critic.quantiles = { low = 8, high = 32, step = 8 }`,
`entropy.mode = { choices = ["learned", "fixed"] }`. `log = true` searches a scale of magnitudes; `when` names
settings and the values they must have; `start` is where the first trial begins, for a setting whose own
default lies outside. `power_of_two = true` searches 64, 128, 256, ...; `one_minus = true` searches the distance
from 1 on a scale of magnitudes, as a discount wants it.
"""

import math
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from omad_core.config import TrainConfig
from omad_core.errors import ConfigError
from omad_core.settings import convert, leaf, unknown
from search.study.dimensions import (
    ChoiceDimension,
    Condition,
    Dimension,
    FloatDimension,
    IntDimension,
    OneMinusDimension,
    PowerOfTwoDimension,
    Value,
)

D = TypeVar("D", bound=Dimension)

KINDS = {PowerOfTwoDimension: "power_of_two", OneMinusDimension: "one_minus"}
"""The key, with the value true, that makes a range one of these."""


def parse(path: str, table: Any) -> Dimension:
    """The dimension that a table of a study file describes. Raises ConfigError."""
    if path in ("task", "seed"):
        raise ConfigError(f"{path} cannot be part of a search space")
    if not isinstance(table, Mapping):
        raise ConfigError(
            f"{path} = {table!r} is no dimension: write {{ low = .., high = .. }} or {{ choices = [..] }}"
        )
    kind = _plain(leaf(TrainConfig, path)[0])
    if "choices" in table:
        return _parse_choice(path, table, kind)
    if _flag(path, table, "power_of_two"):
        return _parse_power_of_two(path, table, kind)
    if _flag(path, table, "one_minus"):
        return _parse_one_minus(path, table, kind)
    if kind is int or (kind is Any and _all_whole(table)):
        return _parse_int(path, table)
    if kind is float or kind is Any:
        return _parse_float(path, table)
    raise ConfigError(f"{path} has no range, being no number: write {{ choices = [..] }}")


def to_table(dimension: Dimension) -> dict[str, Any]:
    """The inverse of `parse`, JSON-ready and without the path."""
    table = {
        name: value for name, value in vars(dimension).items() if name != "path" and value not in (None, {})
    }
    kind = {KINDS[type(dimension)]: True} if type(dimension) in KINDS else {}
    return {name: _listed(value) for name, value in table.items()} | kind


def _listed(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return {k: list(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _plain(kind: Any) -> Any:
    """`int` of `int | None`; other kinds as they are."""
    if isinstance(kind, types.UnionType):
        return next(k for k in typing.get_args(kind) if k is not type(None))
    return kind


def _all_whole(table: Mapping[str, Any]) -> bool:
    return all(isinstance(table.get(name), int) for name in ("low", "high"))


def _parse_choice(path: str, table: Mapping[str, Any], kind: Any) -> ChoiceDimension:
    _refuse_unknown(path, table, ("choices", "when", "start"))
    choices = table["choices"]
    if not isinstance(choices, (list, tuple)) or len(choices) < 2:
        raise ConfigError(f"{path}: choices = {choices!r} must be a list of two values or more")
    values = tuple(convert(path, value, leaf(TrainConfig, path)[0]) for value in choices)
    if len(set(values)) < len(values):
        raise ConfigError(f"{path}: choices = {choices!r} names a value twice")
    start = convert(path, table["start"], kind) if "start" in table else None
    return _check(ChoiceDimension(path, values, _parse_when(path, table), start))


def _parse_int(path: str, table: Mapping[str, Any]) -> IntDimension:
    _refuse_unknown(path, table, ("low", "high", "step", "log", "power_of_two", "one_minus", "when", "start"))
    low, high = (_number(path, table, name, int) for name in ("low", "high"))
    step = _number(path, table, "step", int, 1)
    log = _flag(path, table, "log")
    _check_range(path, low, high, log)
    if step < 1 or (high - low) % step:
        raise ConfigError(f"{path}: step = {step} does not lead from low = {low} to high = {high}")
    if log and step != 1:
        raise ConfigError(f"{path}: log = true and step = {step} exclude each other")
    start = _number(path, table, "start", int) if "start" in table else None
    return _check(IntDimension(path, low, high, step, log, _parse_when(path, table), start))


def _parse_float(path: str, table: Mapping[str, Any]) -> FloatDimension:
    _refuse_unknown(path, table, ("low", "high", "log", "power_of_two", "one_minus", "when", "start"))
    low, high = (_number(path, table, name, float) for name in ("low", "high"))
    log = _flag(path, table, "log")
    _check_range(path, low, high, log)
    start = _number(path, table, "start", float) if "start" in table else None
    return _check(FloatDimension(path, low, high, log, _parse_when(path, table), start))


def _parse_power_of_two(path: str, table: Mapping[str, Any], kind: Any) -> PowerOfTwoDimension:
    if kind is not int and kind is not Any:
        raise ConfigError(f"{path} is no whole number: power_of_two = true does not fit")
    _refuse_beside(path, table, "power_of_two")
    low, high = (_number(path, table, name, int) for name in ("low", "high"))
    _check_range(path, low, high, log=True)
    if wrong := [end for end in (low, high) if end & (end - 1)]:
        raise ConfigError(f"{path}: {wrong[0]} is no power of two, and power_of_two = true")
    start = _number(path, table, "start", int) if "start" in table else None
    return _check(PowerOfTwoDimension(path, low, high, _parse_when(path, table), start))


def _parse_one_minus(path: str, table: Mapping[str, Any], kind: Any) -> OneMinusDimension:
    if kind is not float and kind is not Any:
        raise ConfigError(f"{path} is no real number: one_minus = true does not fit")
    _refuse_beside(path, table, "one_minus")
    low, high = (_number(path, table, name, float) for name in ("low", "high"))
    _check_range(path, low, high, log=False)
    if not high < 1.0:
        raise ConfigError(f"{path}: one_minus = true needs high below 1, and high = {high:g}")
    start = _number(path, table, "start", float) if "start" in table else None
    return _check(OneMinusDimension(path, low, high, _parse_when(path, table), start))


def _refuse_beside(path: str, table: Mapping[str, Any], kind: str) -> None:
    """Refuse what a range of this kind does not take."""
    for key in ("step", "log", *KINDS.values()):
        if key in table and key != kind:
            raise ConfigError(f"{path}: {kind} = true and {key} exclude each other")
    _refuse_unknown(path, table, ("low", "high", kind, "when", "start"))


def _check(dimension: D) -> D:
    start = dimension.start
    if start is not None and not dimension.contains(start):
        raise ConfigError(f"{dimension.path}: start = {start} lies outside the dimension itself")
    return dimension


def _refuse_unknown(path: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(f"{path}: {unknown('key', key, known)}")


def _number(path: str, table: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    value = table.get(name, default)
    if value is None:
        raise ConfigError(f"{path}: {name} is missing; a range needs low and high")
    if isinstance(value, str):
        raise ConfigError(f"{path}: {name} = {value!r} is text; write the number without quotes")
    return convert(f"{path}: {name}", value, kind)


def _flag(path: str, table: Mapping[str, Any], name: str) -> bool:
    value = table.get(name, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{path}: {name} = {value!r} is not true or false")
    return value


def _check_range(path: str, low: float, high: float, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"{path}: low = {low} is not below high = {high}")
    if log and low <= 0:
        raise ConfigError(f"{path}: log = true needs low above 0, and low = {low}")


def _parse_when(path: str, table: Mapping[str, Any]) -> Condition:
    when = table.get("when", {})
    if not isinstance(when, Mapping):
        raise ConfigError(f'{path}: when = {when!r} is no table such as {{ "entropy.mode" = "learned" }}')
    parsed: dict[str, tuple[Value, ...]] = {}
    for other, allowed in _flat(when):
        kind = leaf(TrainConfig, other)[0]
        values = allowed if isinstance(allowed, (list, tuple)) else [allowed]
        if other == path or not values:
            raise ConfigError(f"{path}: when names {'itself' if other == path else f'no value of {other}'}")
        parsed[other] = tuple(convert(other, value, kind) for value in values)
    return parsed


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """`{ entropy.mode = ... }` means `{ "entropy.mode" = ... }`."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
