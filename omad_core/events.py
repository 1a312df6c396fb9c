"""Event: what happened in a population. Plain data, returned by `advance`; there are no callbacks."""

from collections.abc import Mapping
from dataclasses import dataclass

MemberId = int
"""Names one admitted member for as long as it stays; never used again by the same population."""


@dataclass(frozen=True)
class Progress:
    """A member trained a little; `metrics` are floats named `train/...` or `time/...`, empty between logs."""

    member: MemberId
    env_steps: int
    updates: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Evaluated:
    """A member's current policy was evaluated on `len(returns)` whole episodes at `env_steps`."""

    member: MemberId
    env_steps: int
    returns: tuple[float, ...]
    """Undiscounted team return of each episode."""
    lengths: tuple[int, ...]
    """Steps of each episode."""


@dataclass(frozen=True)
class Finished:
    """A member reached its `env_steps` and its last evaluation is done. It stays until evicted."""

    member: MemberId
    env_steps: int


@dataclass(frozen=True)
class Diverged:
    """A member's numbers stopped being finite; it is frozen, with the last weights, moments and measures that were."""

    member: MemberId
    env_steps: int
    what: str


@dataclass(frozen=True)
class Broken:
    """A member cannot begin or continue: one of its environments raised. It stays until evicted."""

    member: MemberId
    env_steps: int
    error: Exception


@dataclass(frozen=True)
class Busy:
    """The next `advance` may be silent for up to `at_most_seconds` (compilation, graph capture)."""

    phase: str
    at_most_seconds: float


@dataclass(frozen=True)
class Warned:
    """Something a person should know about a member that continues."""

    member: MemberId
    env_steps: int
    message: str


Event = Progress | Evaluated | Finished | Diverged | Broken | Busy | Warned
