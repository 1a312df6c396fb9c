"""Dimensions: what one setting may be in a search, and under which conditions it is sampled at all.

Optuna knows a dimension by its `parameter`, which is the setting's path where the two have the same values.
"""

import math
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

    @property
    def parameter(self) -> str:
        """Its name in Optuna: the path."""
        return self.path

    def encode(self, value: Any) -> Any:
        """The parameter's value where the setting has this one: the same."""
        return value

    def decode(self, value: Any) -> Any:
        """The inverse of `encode`."""
        return value

    def suggest(self, trial: BaseTrial) -> float:
        """The trial's value: sampled once, the same ever after."""
        return trial.suggest_float(self.path, self.low, self.high, log=self.log)

    def contains(self, value: Any) -> bool:
        """Whether the value could have been sampled."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    def nearest(self, value: Any) -> float | None:
        """The value of the range closest to a number; None for what is no number."""
        return min(self.high, max(self.low, value)) if isinstance(value, (int, float)) else None

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

    @property
    def parameter(self) -> str:
        """Its name in Optuna: the path."""
        return self.path

    def encode(self, value: Any) -> Any:
        """The parameter's value where the setting has this one: the same."""
        return value

    def decode(self, value: Any) -> Any:
        """The inverse of `encode`."""
        return value

    def suggest(self, trial: BaseTrial) -> int:
        """The trial's value: sampled once, the same ever after."""
        return trial.suggest_int(self.path, self.low, self.high, step=self.step, log=self.log)

    def contains(self, value: Any) -> bool:
        """Whether the value could have been sampled."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def nearest(self, value: Any) -> int | None:
        """The value of the range closest to a number; None for what is no number."""
        if not isinstance(value, (int, float)):
            return None
        steps = round((min(self.high, max(self.low, value)) - self.low) / self.step)
        return self.low + steps * self.step

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

    @property
    def parameter(self) -> str:
        """Its name in Optuna: the path."""
        return self.path

    def encode(self, value: Any) -> Any:
        """The parameter's value where the setting has this one: the same."""
        return value

    def decode(self, value: Any) -> Any:
        """The inverse of `encode`."""
        return value

    def suggest(self, trial: BaseTrial) -> Value:
        """The trial's value: sampled once, the same ever after."""
        return trial.suggest_categorical(self.path, self.choices)

    def contains(self, value: Any) -> bool:
        """Whether the value could have been sampled."""
        return value in self.choices

    def nearest(self, value: Any) -> Value:
        """None: choices have no order."""
        return None

    def ends(self) -> tuple[Value, ...]:
        """The values that show whether all between them are allowed."""
        return self.choices


@dataclass(frozen=True)
class PowerOfTwoDimension:
    """A power of two from `low` to `high`, both included; Optuna searches its exponent."""

    path: str
    low: int
    high: int
    when: Condition = field(default_factory=dict)
    start: int | None = None

    def __str__(self) -> str:
        return f"{self.low} to {self.high}, powers of two"

    @property
    def parameter(self) -> str:
        """Its name in Optuna, whose values are exponents."""
        return f"log2 {self.path}"

    def encode(self, value: Any) -> int:
        """The exponent."""
        return int(value).bit_length() - 1

    def decode(self, value: Any) -> int:
        """The power of two with this exponent."""
        return 1 << int(value)

    def suggest(self, trial: BaseTrial) -> int:
        """The trial's value: sampled once, the same ever after."""
        return self.decode(trial.suggest_int(self.parameter, self.encode(self.low), self.encode(self.high)))

    def contains(self, value: Any) -> bool:
        """Whether the value could have been sampled."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and value & (value - 1) == 0

    def nearest(self, value: Any) -> int | None:
        """The value of the range closest to a number; None for what is no number."""
        if not isinstance(value, (int, float)):
            return None
        return self.decode(round(math.log2(min(self.high, max(self.low, value)))))

    def ends(self) -> tuple[Value, ...]:
        """The values that show whether all between them are allowed."""
        return (self.low, self.high)


@dataclass(frozen=True)
class OneMinusDimension:
    """A number below 1 whose distance from 1 is what matters, such as a discount; that is searched on a log scale."""

    path: str
    low: float
    high: float
    when: Condition = field(default_factory=dict)
    start: float | None = None

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}, log of the distance from 1"

    @property
    def parameter(self) -> str:
        """Its name in Optuna, whose values are distances from 1."""
        return f"1 - {self.path}"

    def encode(self, value: Any) -> float:
        """The distance from 1."""
        return 1.0 - float(value)

    def decode(self, value: Any) -> float:
        """The number at this distance below 1."""
        return 1.0 - float(value)

    def suggest(self, trial: BaseTrial) -> float:
        """The trial's value: sampled once, the same ever after."""
        low, high = self.encode(self.high), self.encode(self.low)
        return self.decode(trial.suggest_float(self.parameter, low, high, log=True))

    def contains(self, value: Any) -> bool:
        """Whether the value could have been sampled."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    def nearest(self, value: Any) -> float | None:
        """The value of the range closest to a number; None for what is no number."""
        return min(self.high, max(self.low, value)) if isinstance(value, (int, float)) else None

    def ends(self) -> tuple[Value, ...]:
        """The values that show whether all between them are allowed."""
        return (self.low, self.high)


Dimension = FloatDimension | IntDimension | ChoiceDimension | PowerOfTwoDimension | OneMinusDimension
