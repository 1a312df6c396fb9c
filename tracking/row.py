"""Row: what was measured at one environment step; the unit of spools and curves."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Metrics of one trial at one environment step, with the time of their first writing."""

    step: int
    """Environment steps of the trial."""
    time_ms: int
    """Wall clock of the first writing, in milliseconds; kept for ever, so that resending repeats nothing."""
    metrics: Mapping[str, float]
    """Names such as `eval/return_mean`, `train/alpha`; NaN and infinities allowed."""
