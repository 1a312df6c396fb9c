"""Space: the settings that a study searches, in the order in which they are sampled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from optuna.trial import BaseTrial

from omad_core import settings
from omad_core.config import TrainConfig
from omad_core.errors import ConfigError
from search.spec.dimensions import Dimension


@dataclass(frozen=True)
class Space:
    """Dimensions, each after those its conditions name; one path may have several that exclude each other."""

    dimensions: tuple[Dimension, ...] = ()

    def __post_init__(self) -> None:
        for first, second in combinations(self.dimensions, 2):
            if first.path == second.path and not _exclude(first.when, second.when):
                raise ConfigError(
                    f"{first.path} has two dimensions, and their conditions do not exclude each other"
                )
        object.__setattr__(self, "dimensions", _ordered(self.dimensions))

    @property
    def paths(self) -> tuple[str, ...]:
        """Every searched setting, once."""
        return tuple(dict.fromkeys(dimension.path for dimension in self.dimensions))

    def sample(self, trial: BaseTrial, base: TrainConfig) -> TrainConfig:
        """The configuration of a trial: `base` with its sampled values. Asked again it answers the same."""
        values: dict[str, Any] = {}
        for dimension in self.dimensions:
            if _applies(dimension, values, base):
                values[dimension.path] = dimension.suggest(trial)
        return settings.replace(base, values)

    def defaults(self, base: TrainConfig) -> dict[str, Any]:
        """The untuned configuration as a point of the space. Raises ConfigError where it lies outside."""
        values: dict[str, Any] = {}
        for dimension in self.dimensions:
            if _applies(dimension, values, base):
                values[dimension.path] = _default(dimension, base)
        return values

    def check(self, base: TrainConfig) -> None:
        """Refuse dimensions beyond the settings' bounds or at odds with `base`. Raises ConfigError."""
        self.defaults(base)
        for dimension in self.dimensions:
            condition = {path: values[0] for path, values in dimension.when.items()}
            for value in dimension.ends():
                settings.replace(base, {**condition, dimension.path: value})

    def without(self, paths: Sequence[str]) -> "Space":
        """The space that is left when some settings are no longer searched."""
        return Space(tuple(dimension for dimension in self.dimensions if dimension.path not in paths))

    def reachable(self, base: TrainConfig) -> "Space":
        """Without the dimensions whose conditions no trial can meet."""
        kept: list[Dimension] = []
        for dimension in self.dimensions:
            if all(_possible(path, wanted, kept, base) for path, wanted in dimension.when.items()):
                kept.append(dimension)
        return Space(tuple(kept))

    def largest(self, path: str, base: TrainConfig) -> Any:
        """The largest value a setting may take in any trial (what populations pad to)."""
        ends = [end for dimension in self.dimensions if dimension.path == path for end in dimension.ends()]
        return max([*ends, settings.get(base, path)])


def _ordered(dimensions: Sequence[Dimension]) -> tuple[Dimension, ...]:
    """As given, but each after all dimensions of the settings that its conditions name."""
    left, done = list(dimensions), []
    while left:
        open_paths = {dimension.path for dimension in left}
        ready = [dimension for dimension in left if not open_paths & set(dimension.when)]
        if not ready:
            raise ConfigError(f"the conditions of {', '.join(sorted(open_paths))} wait for one another")
        done.append(ready[0])
        left.remove(ready[0])
    return tuple(done)


def _exclude(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return any(not set(first[path]) & set(second[path]) for path in first.keys() & second.keys())


def _applies(dimension: Dimension, values: Mapping[str, Any], base: TrainConfig) -> bool:
    return all(
        (values[path] if path in values else settings.get(base, path)) in wanted
        for path, wanted in dimension.when.items()
    )


def _possible(path: str, wanted: Sequence[Any], kept: Sequence[Dimension], base: TrainConfig) -> bool:
    searched = [dimension for dimension in kept if dimension.path == path]
    if searched:
        return any(dimension.contains(value) for dimension in searched for value in wanted)
    return settings.get(base, path) in wanted


def _default(dimension: Dimension, base: TrainConfig) -> Any:
    value = settings.get(base, dimension.path)
    if dimension.contains(value):
        return value
    if dimension.start is not None:
        return dimension.start
    raise ConfigError(
        f"{dimension.path} = {value} lies outside its search range ({dimension}): widen the range, change "
        f"the value, or take it out of the search with --set {dimension.path}={value}"
    )
