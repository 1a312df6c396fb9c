"""What the layers of a study mean for each algorithm: its own defaults come before all that files and options say."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from omad_core import settings
from omad_core.algorithms import ALGORITHMS, of_policy, settings_of_others
from omad_core.config import TrainConfig
from search.study.dimensions import Dimension
from search.study.files.layers import config_of, space_of
from search.study.files.study_file import Layer
from search.study.space import Space


def with_defaults(layers: Sequence[Layer]) -> list[Layer]:
    """The layers for the algorithm that they name: after its own defaults, and with what they say of it alone."""
    name = _named(layers)
    defaults = ALGORITHMS[name].defaults if name in ALGORITHMS else {}
    first = [Layer(f"the defaults of {name}", train=defaults, in_file=False)] if defaults else []
    return [*first, *(_for(name, layer) for layer in layers)]


def _for(name: str, layer: Layer) -> Layer:
    values = layer.train_of.get(name)
    return replace(layer, train={**layer.train, **values}, train_of={}) if values else layer


def of_algorithms(layers: Sequence[Layer], task: str) -> tuple[TrainConfig, Space]:
    """The untuned training and the space. Raises ConfigError naming the layer at fault.

    Where `algorithm` is searched, the space says what a trial of each has otherwise, and settings that files and
    options give to one algorithm alone are left to its trials.
    """
    space = space_of(with_defaults(layers))
    searched = [dimension for dimension in space.dimensions if dimension.path == "algorithm"]
    if not searched:
        return config_of(with_defaults(layers), task), space
    configs = {name: _config(layers, task, name) for name in _names(searched)}
    base = configs[_first(layers, searched)]
    values = settings.to_dict(base)
    variants: dict[str, Mapping[str, Any]] = {}
    for name, config in configs.items():
        variants[name] = {path: v for path, v in settings.to_dict(config).items() if v != values[path]}
    return base, Space(space.dimensions, variants)


def _named(layers: Sequence[Layer]) -> str:
    """The algorithm that layers name last, or the first one of the kind of policy that they name."""
    values = {path: value for layer in layers for path, value in layer.train.items()}
    return str(values.get("algorithm") or of_policy(str(values.get("actor.kind", ""))))


def _names(searched: Sequence[Dimension]) -> list[str]:
    return [str(name) for name in dict.fromkeys(end for each in searched for end in each.ends())]


def _first(layers: Sequence[Layer], searched: Sequence[Dimension]) -> str:
    """The algorithm of the first trial: the one that is named, where it is searched."""
    names = _names(searched)
    starts = [str(each.start) for each in searched if each.start is not None]
    return next(name for name in (_named(layers), *starts, names[0]) if name in names)


def _config(layers: Sequence[Layer], task: str, name: str) -> TrainConfig:
    """The untuned training of one of several algorithms."""
    others = (*settings_of_others(name), "algorithm", "actor.kind")
    relevant = [replace(layer, train=_without(layer.train, others)) for layer in layers]
    return config_of(with_defaults([Layer(name, train={"algorithm": name}, in_file=False), *relevant]), task)


def _without(train: Mapping[str, Any], beginnings: tuple[str, ...]) -> dict[str, Any]:
    return {path: value for path, value in train.items() if not path.startswith(beginnings)}
