"""Dimensions: what one setting may be in a search, and under which conditions it is sampled at all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import BaseTrial

Value = bool | int | float | str | None
Condition = Mapping[str, tuple[Value, ...]]


@dataclass(frozen=True)
class FloatDimension:
    """A real number between `low` and `high`, both included."""

    path: str
    low: float
    high: float
    log: bool = False
    when: Condition = field(default_factory=dict)
    start: float | None = None

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', log' if self.log else ''}"

    def suggest(self, trial: BaseTrial) -> float:
        """The trial's value: sampled once, the same ever after."""
        return trial.suggest_float(self.path, self.low, self.high, log=self.log)

    def contains(self, value: Any) -> bool:
        """Whether the value could have been sampled."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    def ends(self) -> tuple[Value, ...]:
        """The values that show whether all between them are allowed."""
        return (self.low, self.high)


@dataclass(frozen=True)
class IntDimension:
    """A whole number: low, low + step, ... up to `high`, which must be one of them."""

    path: str
    low: int
    high: int
    step: int = 1
    log: bool = False
    when: Condition = field(default_factory=dict)
    start: int | None = None

    def __str__(self) -> str:
        step = f" by {self.step}" if self.step > 1 else ""
        return f"{self.low} to {self.high}{step}{', log' if self.log else ''}"

    def suggest(self, trial: BaseTrial) -> int:
        """The trial's value: sampled once, the same ever after."""
        return trial.suggest_int(self.path, self.low, self.high, step=self.step, log=self.log)

    def contains(self, value: Any) -> bool:
        """Whether the value could have been sampled."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def ends(self) -> tuple[Value, ...]:
        """The values that show whether all between them are allowed."""
        return (self.low, self.high)


@dataclass(frozen=True)
class ChoiceDimension:
    """One of a few values, without an order."""

    path: str
    choices: tuple[Value, ...]
    when: Condition = field(default_factory=dict)
    start: Value = None

    def __str__(self) -> str:
        return ", ".join(str(choice) for choice in self.choices)

    def suggest(self, trial: BaseTrial) -> Value:
        """The trial's value: sampled once, the same ever after."""
        return trial.suggest_categorical(self.path, self.choices)

    def contains(self, value: Any) -> bool:
        """Whether the value could have been sampled."""
        return value in self.choices

    def ends(self) -> tuple[Value, ...]:
        """The values that show whether all between them are allowed."""
        return self.choices


Dimension = FloatDimension | IntDimension | ChoiceDimension
