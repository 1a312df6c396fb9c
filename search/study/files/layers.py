"""Layers: from what files, profiles and options say, one after the other, to one value for each setting."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from omad_core import settings
from omad_core.config import TrainConfig
from omad_core.errors import ConfigError
from search.study.components import Component, options
from search.study.confirmation import Confirm
from search.study.dimensions import Dimension
from search.study.files.study_file import Layer
from search.study.origin import Override
from search.study.space import Space

T = TypeVar("T")


def numbers_of(layers: Sequence[Layer]) -> dict[str, Any]:
    """The spec's plain numbers: the last value of each."""
    return {name: value for layer in layers for name, value in layer.numbers.items()}


def config_of(layers: Sequence[Layer], task: str) -> TrainConfig:
    """The untuned training. Raises ConfigError naming the layer from which on it cannot be."""
    try:
        return _config(layers, task)
    except ConfigError:
        for count, layer in enumerate(layers, start=1):
            try:
                _config(layers[:count], task)
            except ConfigError as error:
                raise ConfigError(_in(layer, "train", error)) from None
        raise


def space_of(layers: Sequence[Layer]) -> Space:
    """What is searched: the last dimensions of each setting, none where the last layer took it out.

    A range holds against the value that an earlier layer gives its setting: the first trial begins at its nearer end.
    """
    dimensions, below = dict[str, tuple[Dimension, ...]](), dict[str, Any]()
    for count, layer in enumerate(layers):
        dimensions.update(layer.space)
        for path in layer.space:
            below[path] = next((e.train[path] for e in reversed(layers[:count]) if path in e.train), None)
        for path in layer.train:
            below[path] = None
    return Space(
        tuple(
            _begun_near(each, below[path])
            for path, alternatives in dimensions.items()
            for each in alternatives
        )
    )


def _begun_near(dimension: Dimension, value: Any) -> Dimension:
    if value is None or dimension.start is not None or dimension.contains(value):
        return dimension
    return cast(Dimension, replace(cast(Any, dimension), start=dimension.nearest(value)))


def component_of(
    what: str, default: str, registry: Mapping[str, type[T]], layers: Sequence[Layer]
) -> Component:
    """The sampler or pruner named last, with the options that were written for this name.

    Options without a name are for the name that held in their layer. Raises ConfigError naming the layer at fault,
    also where another name came after it.
    """
    name, written = default, dict[str, dict[str, Any]]()
    for layer in layers:
        name, options_here = _named(what, name, layer)
        if what not in layer.components:
            continue
        written[name] = written.get(name, {}) | options_here
        try:
            options(what, registry, Component(name, written[name]))
        except ConfigError as error:
            raise ConfigError(_in(layer, what, error)) from None
    return Component(name, written.get(name, {}))


def overrides_of(layers: Sequence[Layer]) -> tuple[Override, ...]:
    """The settings to which a later layer gave another value than an earlier one."""
    values: dict[str, list[tuple[str, Any]]] = {}
    names = {"sampler": "", "pruner": ""}
    for layer in layers:
        for setting, value in _said(layer, names):
            values.setdefault(setting, []).append((layer.source, value))
    chains = {setting: _changes(chain) for setting, chain in values.items()}
    return tuple(
        Override(setting, chain[-1][1], chain[-1][0], tuple((value, source) for source, value in chain[:-1]))
        for setting, chain in chains.items()
        if len(chain) > 1
    )


def _config(layers: Sequence[Layer], task: str) -> TrainConfig:
    values: dict[str, Any] = {}
    for layer in layers:
        for path, value in layer.train.items():
            both = isinstance(value, Mapping) and isinstance(values.get(path), Mapping)
            values[path] = {**values[path], **value} if both else value
    return settings.replace(TrainConfig(task=task), values)


def _named(what: str, name: str, layer: Layer) -> tuple[str, dict[str, Any]]:
    """The name that holds in a layer, and the options it gives."""
    options_here = dict(layer.components.get(what, {}))
    name = options_here.pop("name", name)
    if not isinstance(name, str):
        raise ConfigError(_in(layer, what, f"name = {name!r} is not text"))
    return name, options_here


def _said(layer: Layer, names: dict[str, str]) -> list[tuple[str, Any]]:
    """Every setting that a layer gives, with its value as it may be shown; `names`: what held before, is updated."""
    said: list[tuple[str, Any]] = [*layer.numbers.items(), *layer.train.items()]
    for path, dimensions in layer.space.items():
        said.append((f"space.{path}", " | ".join(map(str, dimensions)) or "not searched"))
    for what in names:
        names[what], options_here = _named(what, names[what], layer)
        if "name" in layer.components.get(what, {}):
            said.append((what, names[what]))
        said += [(f"{what}.{names[what]}.{option}", value) for option, value in options_here.items()]
    return said


def _changes(chain: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The chain without what repeats the value before it."""
    changes: list[tuple[str, Any]] = []
    for source, value in chain:
        if not changes or changes[-1][1] != value:
            changes.append((source, value))
    return changes


def _in(layer: Layer, table: str, error: object) -> str:
    """An error with the place it is in; options that were typed need none."""
    return f"{layer.source} [{table}]: {error}" if layer.in_file else str(error)


def confirm_of(layers: Sequence[Layer]) -> Confirm | None:
    """What the layers wish for together; none where the last word on it is `false`."""
    wish: dict[str, Any] | None = None
    for layer in layers:
        if layer.confirm is None:
            wish = None
        elif layer.confirm:
            wish = {**(wish or {}), **layer.confirm}
    return None if wish is None else settings.from_dict(Confirm, wish)
