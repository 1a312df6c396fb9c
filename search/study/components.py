"""Component: a sampler or pruner as a study names it, with options that are checked by name and bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from omad_core import settings
from omad_core.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Component:
    """Name in its registry, and every option's value, defaults included."""

    name: str
    options: Mapping[str, Any]


def options(what: str, registry: Mapping[str, type[T]], component: Component) -> T:
    """The options object a component names. Raises ConfigError with the nearest known name."""
    if component.name not in registry:
        raise ConfigError(settings.unknown(what, component.name, registry))
    try:
        return settings.from_dict(registry[component.name], component.options)
    except ConfigError as error:
        raise ConfigError(f"{what} {component.name}: {error}") from None


def complete(what: str, registry: Mapping[str, type[T]], component: Component) -> Component:
    """The component with the default of every option that was not given. Raises ConfigError."""
    return Component(component.name, settings.to_dict(options(what, registry, component)))
