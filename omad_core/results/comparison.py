"""Comparison: one value a seed, summarised with an interval over seeds, and compared with others seed by seed.

Point: interquartile mean (Agarwal et al., NeurIPS 2021). Interval, 95 %: Student's t over seeds; with few seeds the
bootstrap covers far less than it says. `docs/reading-results.md` has the measured coverage.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from omad_core.results.statistics import interquartile_mean, interquartile_means

CONFIDENCE = 0.95
FEWEST_SEEDS = 3
"""Seeds below which an interval says nothing: with two, Student's t is 12.7 standard errors wide to each side."""
BOOTSTRAP_FROM = 16
"""Seeds from which the interval is a bootstrap's: Student's is one of the mean, and may miss the middle half's."""
RESAMPLES = 2_000


@dataclass(frozen=True)
class Estimate:
    """What the values of some seeds say of a seed that was not drawn; in the unit of the values."""

    values: tuple[float, ...]
    """One a seed, in the order of the seeds."""
    point: float
    """Interquartile mean."""
    low: float | None
    high: float | None
    """Ends of the 95 % interval; None with fewer than three seeds."""
    why: str = ""
    """Why there is no interval."""


@dataclass(frozen=True)
class PairedDifference:
    """One setting against another on the same seeds."""

    difference: Estimate
    """Of the differences, seed by seed."""
    won: int
    """Seeds on which it has the higher value."""
    p_value: float | None
    """Two-sided, of the paired t-test; None with fewer than three seeds."""

    @property
    def seeds(self) -> int:
        """Seeds that both were trained with."""
        return len(self.difference.values)

    @property
    def better(self) -> bool:
        """Whether it is shown to be better: the whole interval of the difference lies above 0."""
        return self.difference.low is not None and self.difference.low > 0.0


def estimate(values: Sequence[float]) -> Estimate:
    """Interquartile mean and interval of one finite value a seed. Raises ValueError where there is none."""
    sample = np.asarray(values, np.float64)
    if not len(sample) or not np.isfinite(sample).all():
        raise ValueError(f"an estimate needs finite values, one a seed, not {list(values)}")
    point, given = interquartile_mean(sample.tolist()), tuple(sample.tolist())
    if len(sample) < FEWEST_SEEDS:
        seeds = "1 seed is" if len(sample) == 1 else f"{len(sample)} seeds are"
        why = f"{seeds} too few for an interval, which takes {FEWEST_SEEDS}"
        return Estimate(given, point, None, None, why)
    low, high = _bootstrap(sample) if len(sample) >= BOOTSTRAP_FROM else _student(sample)
    return Estimate(given, point, low, high)


def compare(values: Sequence[float], baseline: Sequence[float]) -> PairedDifference:
    """Values against those of a baseline, paired by seed. Raises ValueError for other than one each a seed."""
    differences = [value - other for value, other in zip(values, baseline, strict=True)]
    known = estimate(differences)
    enough = len(differences) >= FEWEST_SEEDS
    return PairedDifference(
        known, sum(each > 0.0 for each in differences), _p(differences) if enough else None
    )


def probability_of_improvement(values: Sequence[float], baseline: Sequence[float]) -> float:
    """Share of all pairs, one of each, in which the value is the higher one; equal ones count half.

    What a training chosen at random beats one of the baseline with (Agarwal et al., NeurIPS 2021; Mann and Whitney's U
    over the number of pairs). Raises ValueError where either is empty.
    """
    ours, theirs = np.asarray(values, np.float64)[:, None], np.asarray(baseline, np.float64)[None, :]
    if not ours.size or not theirs.size:
        raise ValueError("a probability of improvement needs values on both sides")
    return float(np.mean((ours > theirs) + 0.5 * (ours == theirs)))


def holm(p_values: Mapping[int, float]) -> dict[int, float]:
    """p-values of several comparisons, corrected for their number (Holm, 1979), by the same keys."""
    corrected: dict[int, float] = {}
    largest = 0.0
    for rank, key in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[key]))
        corrected[key] = largest
    return corrected


def _student(sample: NDArray[np.float64]) -> tuple[float, float]:
    """Mean plus and minus t standard errors."""
    error = float(sample.std(ddof=1)) / math.sqrt(len(sample))
    half = float(special.stdtrit(len(sample) - 1, 0.5 + CONFIDENCE / 2)) * error
    return float(sample.mean()) - half, float(sample.mean()) + half


def _bootstrap(sample: NDArray[np.float64]) -> tuple[float, float]:
    """Percentiles of the interquartile mean over samples drawn with replacement, from a fixed seed."""
    draws = np.random.default_rng(0).integers(0, len(sample), (RESAMPLES, len(sample)))
    low, high = np.quantile(interquartile_means(sample[draws]), [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return float(low), float(high)


def _p(differences: Sequence[float]) -> float:
    """Two-sided p-value of Student's t-test that the differences have mean 0."""
    sample = np.asarray(differences, np.float64)
    error = float(sample.std(ddof=1)) / math.sqrt(len(sample))
    if error == 0.0:
        return 1.0 if sample[0] == 0.0 else 0.0
    return float(2 * special.stdtr(len(sample) - 1, -abs(float(sample.mean())) / error))
