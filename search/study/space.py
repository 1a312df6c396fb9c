"""Space: the settings that a study searches, in the order in which they are sampled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from optuna.trial import BaseTrial

from omad_core import settings
from omad_core.config import TrainConfig, in_effect
from omad_core.errors import ConfigError
from search.study.dimensions import Dimension, IntDimension, PowerOfTwoDimension


@dataclass(frozen=True)
class Space:
    """Dimensions, each after those its conditions name; one path may have several that exclude each other."""

    dimensions: tuple[Dimension, ...] = ()
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By algorithm, where it is searched: settings that its trials have otherwise than the study's configuration."""

    def __post_init__(self) -> None:
        for first, second in combinations(self.dimensions, 2):
            if first.path == second.path and not _exclude(first.when, second.when):
                raise ConfigError(
                    f"{first.path} has two dimensions, and their conditions do not exclude each other"
                )
        object.__setattr__(self, "dimensions", _sort(self.dimensions))

    @property
    def paths(self) -> tuple[str, ...]:
        """Every searched setting, once."""
        return tuple(dict.fromkeys(dimension.path for dimension in self.dimensions))

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of Optuna's parameters, once."""
        return tuple(dict.fromkeys(dimension.parameter for dimension in self.dimensions))

    def settings(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Values of settings by path, of Optuna's parameters by name; what is not of this space stays as it is."""
        known = {dimension.parameter: dimension for dimension in self.dimensions}
        return {
            known[name].path if name in known else name: known[name].decode(value) if name in known else value
            for name, value in params.items()
        }

    def sample(self, trial: BaseTrial, base: TrainConfig) -> TrainConfig:
        """The configuration of a trial: `base` with its sampled values. Asked again it answers the same."""
        values: dict[str, Any] = {}
        for dimension in self.dimensions:
            if _applies(dimension, values, base):
                values[dimension.path] = dimension.suggest(trial)
                base = self.base(base, {dimension.path: values[dimension.path]})
        return settings.replace(base, values)

    def base(self, base: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
        """The untuned configuration of the algorithm that some values name, `base` where they name none."""
        named = {path: values[path] for path in ("algorithm", "actor.kind") if path in values}
        variant = self.variants.get(named.get("algorithm", ""), {})
        return settings.replace(base, {**named, **variant}) if named else base

    def defaults(self, base: TrainConfig, preferred: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The untuned configuration as Optuna's parameters; `preferred` values of settings come first where they fit.

        Raises ConfigError where it lies outside the space.
        """
        preferred = preferred or {}
        values, params = dict[str, Any](), dict[str, Any]()
        for dimension in self.dimensions:
            if _applies(dimension, values, base):
                value = preferred.get(dimension.path)
                fits = dimension.path in preferred and dimension.contains(value)
                values[dimension.path] = value if fits else _default(dimension, base)
                params[dimension.parameter] = dimension.encode(values[dimension.path])
                base = self.base(base, {dimension.path: values[dimension.path]})
        return params

    def check(self, base: TrainConfig) -> None:
        """Refuse dimensions beyond the settings' bounds or at odds with `base`. Raises ConfigError."""
        self.defaults(base)
        for dimension in self.dimensions:
            condition = {path: values[0] for path, values in dimension.when.items()}
            for value in dimension.ends():
                tried = {**condition, dimension.path: value}
                settings.replace(self.base(base, tried), tried)

    def without(self, paths: Sequence[str]) -> "Space":
        """The space that is left when some settings are no longer searched."""
        kept = tuple(dimension for dimension in self.dimensions if dimension.path not in paths)
        return Space(kept, self.variants)

    def reachable(self, base: TrainConfig) -> "Space":
        """Without the dimensions whose conditions no trial can meet."""
        kept: list[Dimension] = []
        for dimension in self.dimensions:
            if all(self._possible(path, allowed, kept, base) for path, allowed in dimension.when.items()):
                kept.append(dimension)
        return Space(tuple(kept), self.variants)

    def _possible(
        self, path: str, allowed: Sequence[Any], kept: Sequence[Dimension], base: TrainConfig
    ) -> bool:
        searched = [dimension for dimension in kept if dimension.path == path]
        if searched:
            return any(dimension.contains(value) for dimension in searched for value in allowed)
        fixed = [variant.get(path, settings.get(base, path)) for variant in ({}, *self.variants.values())]
        return any(value in allowed for value in fixed)

    def largest(self, path: str, base: TrainConfig) -> Any:
        """The largest value a setting may take in any trial (what populations pad to)."""
        ends = [end for dimension in self.dimensions if dimension.path == path for end in dimension.ends()]
        return max([*ends, settings.get(base, path)])


def _sort(dimensions: Sequence[Dimension]) -> tuple[Dimension, ...]:
    """The algorithm, then in their order, but each after all dimensions of the settings that its conditions name."""
    left = sorted(dimensions, key=lambda dimension: dimension.path != "algorithm")
    done: list[Dimension] = []
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
        (values[path] if path in values else settings.get(base, path)) in allowed
        for path, allowed in dimension.when.items()
    )


def _default(dimension: Dimension, base: TrainConfig) -> Any:
    value = in_effect(base, dimension.path)
    if dimension.contains(value):
        return value
    if dimension.start is not None:
        return dimension.start
    if _between_steps(dimension, value):
        return dimension.nearest(value)
    raise ConfigError(
        f"{dimension.path} = {value} lies outside its search range ({dimension}): widen the range, say with "
        f"start = ... where the first trial begins, change the value, or take it out of the search "
        f"(--set {dimension.path}={value}, or {dimension.path} = false below [space])"
    )


def _between_steps(dimension: Dimension, value: Any) -> bool:
    match dimension:
        case IntDimension() | PowerOfTwoDimension():
            return isinstance(value, int) and dimension.low <= value <= dimension.high
    return False
