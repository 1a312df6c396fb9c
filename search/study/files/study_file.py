"""Study files: TOML, read strictly; what is unknown or of a wrong type is refused with the file's name."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from omad_core import settings
from omad_core.config import TrainConfig
from omad_core.errors import ConfigError
from search.spec.dimension_tables import parse
from search.spec.dimensions import Dimension
from search.spec.spec import NUMBERS

PARTS = ("train", "space", "sampler", "pruner")
TOP = ("task", "name", "extends", "about", "profile", *PARTS, *NUMBERS)
IN_PROFILE = ("about", *PARTS, *NUMBERS)


@dataclass(frozen=True)
class Layer:
    """What one file, or one profile in it, says; later layers override earlier ones."""

    source: str
    """File, and table within it, for messages."""
    about: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, tuple[Dimension, ...]] = field(default_factory=dict)
    """Dimensions by path; none = the setting is no longer searched."""
    sampler: Mapping[str, Any] = field(default_factory=dict)
    pruner: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyFile:
    """One parsed file."""

    source: str
    task: str | None
    name: str | None
    extends: str | None
    layer: Layer
    profiles: Mapping[str, Layer]


def read(text: str, source: str) -> StudyFile:
    """Parse a study file. Raises ConfigError with the file's name and, for syntax, the line."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax(text, source, str(error))) from None
    try:
        return _parse(document, source)
    except ConfigError as error:
        raise ConfigError(str(error) if str(error).startswith(source) else f"{source}: {error}") from None


def _syntax(text: str, source: str, message: str) -> str:
    """`file, line: what`, from `what (at line 3, column 5)` or `what (at end of document)`."""
    what, _, place = message.partition(" (at ")
    line = re.match(r"line (\d+)", place)
    number = line[1] if line else len(text.splitlines())
    return f"{source}, line {number}: not valid TOML: {what}"


def _parse(document: Mapping[str, Any], source: str) -> StudyFile:
    _known(document, TOP, "key")
    profiles = _table(document, "profile")
    texts = {key: _text(document, key) for key in ("task", "name", "extends")}
    return StudyFile(
        source,
        **texts,
        layer=_layer({k: v for k, v in document.items() if k not in ("profile", *texts)}, source),
        profiles={name: _profile(profiles, name, source) for name in profiles},
    )


def _profile(profiles: Mapping[str, Any], name: str, source: str) -> Layer:
    place = f"{source} [profile.{name}]"
    table = _table(profiles, name)
    try:
        _known(table, IN_PROFILE, "key")
        return _layer(table, place)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None


def _layer(table: Mapping[str, Any], source: str) -> Layer:
    return Layer(
        source,
        about=_text(table, "about") or "",
        numbers={name: _number(name, table[name]) for name in NUMBERS if name in table},
        train=dict(_train(_table(table, "train"))),
        space=dict(_space(_table(table, "space"))),
        sampler=_table(table, "sampler"),
        pruner=_table(table, "pruner"),
    )


def _train(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        path = prefix + key
        if isinstance(value, Mapping) and path != "env.args":
            yield from _train(value, f"{path}.")
            continue
        if path in ("task", "seed"):
            raise ConfigError(f"[train] {path}: the {path} belongs at the top of the file")
        yield path, _typed(path, value, settings.leaf(TrainConfig, path)[0])


def _space(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, tuple[Dimension, ...]]]:
    for key, value in table.items():
        path = prefix + key
        if isinstance(value, Mapping) and _is_group(path):
            yield from _space(value, f"{path}.")
        elif value is False:
            settings.leaf(TrainConfig, path)
            yield path, ()
        else:
            tables = value if isinstance(value, list) else [value]
            yield path, tuple(parse(path, each) for each in tables)


def _is_group(path: str) -> bool:
    return path == "env.args" or any(
        known.startswith(f"{path}.") for known, _, _ in settings.fields(TrainConfig)
    )


def _typed(path: str, value: Any, kind: Any) -> Any:
    """As `convert`, but text is no number in TOML (only `none`, which TOML lacks)."""
    if isinstance(value, str) and (
        kind in (int, float, bool) or (kind == int | None and value.lower() != "none")
    ):
        raise ConfigError(f"{path} = {value!r} is text; write the value without quotes")
    return settings.convert(path, value, kind)


def _number(name: str, value: Any) -> Any:
    kind, info = NUMBERS[name]
    number = _typed(name, value, kind)
    settings.check_bounds(name, number, info)
    return number


def _known(table: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(settings.unknown(what, key, known))


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key} = {value!r} is no table: write [{key}]")
    return value


def _text(table: Mapping[str, Any], key: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise ConfigError(f"{key} = {value!r} is not text")
    return value
