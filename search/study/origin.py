"""Origin: where the values of a spec come from, stored with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OPTIONS = "options"
"""The source of what was typed: `--set`, `--trials` and the like."""
CONFIRM = "confirm"
"""Among the options: False where `--no-confirm` was typed."""


@dataclass(frozen=True)
class Override:
    """A setting to which layers gave different values."""

    setting: str
    """Such as `trials`, `actor.hidden_width`, `space.gamma`, `sampler.tpe.startup_trials`."""
    value: Any
    """The last one, JSON-ready; a dimension in words."""
    source: str
    """File and table of the last one, or `options`."""
    replaced: tuple[tuple[Any, str], ...] = ()
    """Values and sources before it, the most general first."""

    def __str__(self) -> str:
        before = ", ".join(f"{value} of {source}" for value, source in reversed(self.replaced))
        return f"{self.setting} = {self.value} of {self.source}, instead of {before}"


@dataclass(frozen=True)
class Origin:
    """What a study was begun with."""

    file: str = ""
    """The user's study file, as it was typed; empty for a study that comes with the package."""
    digest: str = ""
    """SHA-256 of that file."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What was typed: plain numbers of the spec by name, settings of the training by path, `confirm`."""
    reuse: str = ""
    """The study whose best trial is the second one of this; empty for none."""
    overrides: tuple[Override, ...] = ()
    """What a later layer gave another value than an earlier one."""

    def to_table(self) -> dict[str, Any]:
        """JSON-ready."""
        overrides = [
            {**vars(override), "replaced": [list(pair) for pair in override.replaced]}
            for override in self.overrides
        ]
        return {**vars(self), "options": dict(self.options), "overrides": overrides}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Origin":
        """The inverse of `to_table`. Raises TypeError, ValueError or KeyError for anything else."""
        return cls(**{**table, "overrides": tuple(_override(each) for each in table["overrides"])})


def _override(table: Mapping[str, Any]) -> Override:
    replaced: Sequence[Sequence[Any]] = table["replaced"]
    return Override(**{**table, "replaced": tuple((value, str(source)) for value, source in replaced)})
