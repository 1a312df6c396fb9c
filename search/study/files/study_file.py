"""Study files: TOML, read strictly; what is unknown or of a wrong type is refused with the file's name."""

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from omad_core import settings
from omad_core.algorithms import ALGORITHMS
from omad_core.config import TrainConfig
from omad_core.errors import ConfigError
from search.study.confirmation import read_confirm
from search.study.dimension_tables import parse
from search.study.dimensions import Dimension
from search.study.study_spec import NUMBERS

COMPONENTS = ("sampler", "pruner")
PARTS = ("train", "for", "space", *COMPONENTS)
TOP = ("task", "name", "extends", "about", "profile", "confirm", *PARTS, *NUMBERS)
IN_PROFILE = ("about", "confirm", *PARTS, *NUMBERS)


@dataclass(frozen=True)
class Layer:
    """What one file, or one profile in it, says; later layers override earlier ones."""

    source: str
    """File, and table within it, for messages."""
    about: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    train_of: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What it says of one algorithm alone, by the algorithm's name."""
    space: Mapping[str, tuple[Dimension, ...]] = field(default_factory=dict)
    """Dimensions by path; none = the setting is no longer searched."""
    components: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The tables `sampler` and `pruner`, of which a layer may have neither."""
    in_file: bool = True
    """Not where it stands for options that were typed."""
    confirm: Mapping[str, Any] | None = field(default_factory=dict)
    """What it changes of the wish for a confirmation; None for no confirmation at all."""


@dataclass(frozen=True)
class StudyFile:
    """One parsed file."""

    source: str
    task: str | None
    name: str | None
    extends: str | None
    layer: Layer
    profiles: Mapping[str, Layer]
    digest: str = ""
    """SHA-256 of its text."""


def read(text: str, source: str) -> StudyFile:
    """Parse a study file. Raises ConfigError with the file's name and, for syntax, the line."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax(text, source, str(error))) from None
    try:
        return _parse(document, source, hashlib.sha256(text.encode()).hexdigest())
    except ConfigError as error:
        raise ConfigError(str(error) if str(error).startswith(source) else f"{source}: {error}") from None


def _syntax(text: str, source: str, message: str) -> str:
    """`file, line: what`, from `what (at line 3, column 5)` or `what (at end of document)`."""
    what, _, location = message.partition(" (at ")
    line = re.match(r"line (\d+)", location)
    number = line[1] if line else len(text.splitlines())
    return f"{source}, line {number}: not valid TOML: {what}"


def _parse(document: Mapping[str, Any], source: str, digest: str) -> StudyFile:
    _refuse_unknown(document, TOP, "key")
    profiles = _table(document, "profile")
    texts = {key: _text(document, key) for key in ("task", "name", "extends")}
    return StudyFile(
        source,
        **texts,
        layer=_layer({k: v for k, v in document.items() if k not in ("profile", *texts)}, source),
        profiles={name: _profile(profiles, name, source) for name in profiles},
        digest=digest,
    )


def _profile(profiles: Mapping[str, Any], name: str, source: str) -> Layer:
    location = f"{source} [profile.{name}]"
    table = _table(profiles, name)
    try:
        _refuse_unknown(table, IN_PROFILE, "key")
        return _layer(table, location)
    except ConfigError as error:
        raise ConfigError(f"{location}: {error}") from None


def _layer(table: Mapping[str, Any], source: str) -> Layer:
    return Layer(
        source,
        about=_text(table, "about") or "",
        numbers={name: _number(name, table[name]) for name in NUMBERS if name in table},
        train=dict(_train(_table(table, "train"))),
        train_of=_train_of(_table(table, "for")),
        space=dict(_space(_table(table, "space"))),
        components={what: _table(table, what) for what in COMPONENTS if what in table},
        confirm=read_confirm(table.get("confirm", {})),
    )


def _train(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        path = prefix + key
        if isinstance(value, Mapping) and path != "env.args":
            yield from _train(value, f"{path}.")
            continue
        if path in ("task", "seed"):
            raise ConfigError(f"[train] {path}: the {path} belongs at the top of the file")
        kind, info = settings.leaf(TrainConfig, path)
        converted = _convert(path, value, kind)
        settings.refuse_idle(path, converted, info)
        yield path, converted


def _train_of(tables: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The tables `[for.NAME]`. Raises ConfigError for a name that is no algorithm's."""
    _refuse_unknown(tables, tuple(ALGORITHMS), "algorithm")
    by_algorithm = {name: dict(_train(_table(tables, name))) for name in tables}
    for name, values in by_algorithm.items():
        for path in {"algorithm", "actor.kind"} & values.keys():
            raise ConfigError(f"[for.{name}] {path}: the table's name says which algorithm; leave it out")
    return by_algorithm


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
            yield path, tuple(_learns(parse(path, each)) for each in tables)


def _learns(dimension: Dimension) -> Dimension:
    """The dimension, unless it holds a value with which nothing is learned. Raises ConfigError."""
    info = settings.leaf(TrainConfig, dimension.path)[1]
    if dimension.contains(info.low):
        settings.refuse_idle(dimension.path, info.low, info)
    return dimension


def _is_group(path: str) -> bool:
    return path == "env.args" or any(
        known.startswith(f"{path}.") for known, _, _ in settings.fields(TrainConfig)
    )


def _convert(path: str, value: Any, kind: Any) -> Any:
    """As `convert`, but text is no number in TOML (only `none`, which TOML lacks)."""
    if isinstance(value, str) and (
        kind in (int, float, bool) or (kind == int | None and value.lower() != "none")
    ):
        raise ConfigError(f"{path} = {value!r} is text; write the value without quotes")
    return settings.convert(path, value, kind)


def _number(name: str, value: Any) -> Any:
    kind, info = NUMBERS[name]
    number = _convert(name, value, kind)
    settings.check_bounds(name, number, info)
    return number


def _refuse_unknown(table: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
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
