"""SobolSampler: parameters from a low-discrepancy sequence, as a function of (seed, slot) alone."""

import math
from collections.abc import Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial


class SobolSampler(BaseSampler):
    """One point of a scrambled Sobol sequence, an axis a path.

    Optuna's own sampler counts its points in the study, where two workers may read the same count; and it
    leaves conditional parameters out.
    """

    def __init__(self, paths: Sequence[str], seed: int, slot: int) -> None:
        from scipy.stats import qmc  # type: ignore[import-untyped]  # a second to import, and only this sampler needs it

        sequence = qmc.Sobol(d=max(1, len(paths)), scramble=True, rng=seed)
        if slot:  # SciPy cannot go forward by nothing
            sequence.fast_forward(slot)
        self._point = dict(zip(paths, sequence.random(1)[0], strict=False))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing: every parameter reads its own axis."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing: see above."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The parameter's coordinate of the point, scaled to its distribution."""
        return _scale(float(self._point[param_name]), param_distribution)


def _scale(unit: float, distribution: BaseDistribution) -> Any:
    """A number of [0, 1) as a value of the distribution."""
    match distribution:
        case CategoricalDistribution():
            return distribution.choices[int(unit * len(distribution.choices))]
        case IntDistribution(log=True):
            low, high = distribution.low - 0.5, distribution.high + 0.5
            return min(distribution.high, max(distribution.low, round(low * (high / low) ** unit)))
        case IntDistribution():
            count = (distribution.high - distribution.low) // distribution.step + 1
            return distribution.low + int(unit * count) * distribution.step
        case FloatDistribution(log=True):
            low, high = math.log(distribution.low), math.log(distribution.high)
            return min(distribution.high, max(distribution.low, math.exp(low + unit * (high - low))))
        case FloatDistribution():
            return distribution.low + unit * (distribution.high - distribution.low)
    raise TypeError(f"no scale for {distribution!r}")
