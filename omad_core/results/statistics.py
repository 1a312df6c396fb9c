"""Statistics of returns as reinforcement learning should report them (Agarwal et al., NeurIPS 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000


@dataclass(frozen=True)
class Summary:
    """A sample of returns in five numbers."""

    mean: float
    iqm: float
    """Interquartile mean: the mean of the middle half."""
    low: float
    """Lower end of the 95 % bootstrap interval of the mean."""
    high: float
    count: int


def interquartile_mean(values: Sequence[float]) -> float:
    """Mean of what is left without the lowest and the highest quarter of the values."""
    return float(interquartile_means(np.asarray(values, np.float64)[None])[0])


def interquartile_means(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interquartile mean of each row of (samples, values)."""
    from scipy.stats import trim_mean  # it takes half a second to import

    return np.asarray(trim_mean(samples, 0.25, axis=1), np.float64)


def summarise(values: Sequence[float]) -> Summary:
    """Mean, interquartile mean and percentile-bootstrap interval; resampled from a fixed seed."""
    sample = np.asarray(values, np.float64)
    draws = np.random.default_rng(0).integers(0, len(sample), (RESAMPLES, len(sample)))
    low, high = np.quantile(sample[draws].mean(1), [0.025, 0.975])
    return Summary(float(sample.mean()), interquartile_mean(values), float(low), float(high), len(sample))
