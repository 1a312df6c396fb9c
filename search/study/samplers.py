"""Samplers: how a study proposes parameters. One is built fresh for each claimed slot.

Its seed follows from the study's seed and the slot's number, so that no two workers repeat one another and
the same history leads to the same proposal.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from omad_core.settings import check, setting
from search.spec.components import Component, options
from search.spec.sobol import SobolSampler

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
            seed=_mixed(seed, slot),
        )


@dataclass(frozen=True)
class Random:
    """Independent uniform draws: the baseline every other sampler has to beat."""

    def build(self, seed: int, slot: int, paths: Sequence[str]) -> BaseSampler:
        """A generator of the slot's own."""
        return RandomSampler(seed=_mixed(seed, slot))


@dataclass(frozen=True)
class Gp:
    """A Gaussian process with log expected improvement; for small budgets of long trials."""

    startup_trials: int = setting(10, "Trials that are random before the model is used", low=1, high=100_000)

    def __post_init__(self) -> None:
        check(self)

    def build(self, seed: int, slot: int, paths: Sequence[str]) -> BaseSampler:
        """Fitted anew to the finished trials; returns of one configuration are taken as noisy."""
        return GPSampler(
            n_startup_trials=self.startup_trials, deterministic_objective=False, seed=_mixed(seed, slot)
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


def _mixed(seed: int, slot: int) -> int:
    return int(np.random.SeedSequence([seed, slot]).generate_state(1)[0])
