"""Samplers: how a study proposes parameters. One is built fresh for each claimed slot.

Its seed follows from the study's seed and the slot's number, so that no two workers repeat one another and
the same history leads to the same proposal.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from omad_core.settings import check, setting
from search.study.components import Component, options

# Conditional dimensions are sampled independently by design; Optuna would warn of each.
logging.getLogger("optuna.samplers._tpe.sampler").setLevel(logging.ERROR)
logging.getLogger("optuna.samplers._gp.sampler").setLevel(logging.ERROR)


class Sampler(Protocol):
    """Options of one kind of sampler."""

    def build(self, seed: int, slot: int, paths: Sequence[str]) -> BaseSampler:
        """The sampler that proposes the parameters of one slot."""
        ...


@dataclass(frozen=True)
class Tpe:
    """Tree-structured Parzen estimators, joint over all unconditional settings."""

    startup_trials: int = setting(10, "Trials that are random before the model is used", low=1, high=100_000)
    candidates: int = setting(
        24, "Candidates drawn, of which the most promising is taken", low=1, high=100_000
    )

    def __post_init__(self) -> None:
        check(self)

    def build(self, seed: int, slot: int, paths: Sequence[str]) -> BaseSampler:
        """Multivariate, and counting running trials as poor ones so that workers spread out."""
        return TPESampler(
            n_startup_trials=self.startup_trials,
            n_ei_candidates=self.candidates,
            multivariate=True,
            constant_liar=True,
            seed=_mix(seed, slot),
        )


@dataclass(frozen=True)
class Random:
    """Independent uniform draws: the baseline every other sampler has to beat."""

    def build(self, seed: int, slot: int, paths: Sequence[str]) -> BaseSampler:
        """A generator of the slot's own."""
        return RandomSampler(seed=_mix(seed, slot))


@dataclass(frozen=True)
class Gp:
    """A Gaussian process with log expected improvement; for small budgets of long trials."""

    startup_trials: int = setting(10, "Trials that are random before the model is used", low=1, high=100_000)

    def __post_init__(self) -> None:
        check(self)

    def build(self, seed: int, slot: int, paths: Sequence[str]) -> BaseSampler:
        """Fitted anew to the finished trials; returns of one configuration are taken as noisy."""
        return GPSampler(
            n_startup_trials=self.startup_trials, deterministic_objective=False, seed=_mix(seed, slot)
        )


@dataclass(frozen=True)
class Qmc:
    """A scrambled Sobol sequence: slot n is its n-th point, so that random search covers the space evenly."""

    def build(self, seed: int, slot: int, paths: Sequence[str]) -> BaseSampler:
        """The same sequence for all slots of a study."""
        return SobolSampler(paths, seed, slot)


SAMPLERS: dict[str, type[Sampler]] = {"tpe": Tpe, "random": Random, "gp": Gp, "qmc": Qmc}
"""Every sampler a study may name."""


def build_sampler(component: Component, seed: int, slot: int, paths: Sequence[str]) -> BaseSampler:
    """The sampler for one slot of a study with this seed and these searched settings. Raises ConfigError."""
    return options("sampler", SAMPLERS, component).build(seed, slot, paths)


def _mix(seed: int, slot: int) -> int:
    return int(np.random.SeedSequence([seed, slot]).generate_state(1)[0])


class SobolSampler(BaseSampler):
    """One point of a scrambled Sobol sequence, an axis a path.

    Optuna's own sampler counts its points in the study, where two workers may read the same count; and it
    leaves conditional parameters out.
    """

    def __init__(self, paths: Sequence[str], seed: int, slot: int) -> None:
        from scipy.stats import qmc  # a second to import, and only this sampler needs it

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
