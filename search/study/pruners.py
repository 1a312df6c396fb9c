"""Pruners: when a trial that lags behind is ended early.

Values are reported at environment steps; options speak of evaluations and of fractions of a training, so that
they mean the same for short and for long ones. Pruning too early hurts more than pruning late costs.
"""

import warnings
from dataclasses import dataclass
from typing import Protocol

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    NopPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)

from omad_core.config import TrainConfig
from omad_core.settings import check, setting
from search.study.components import Component, options


class Pruner(Protocol):
    """Options of one kind of pruner."""

    def build(self, train: TrainConfig) -> BasePruner:
        """The pruner for trainings of this length, evaluated this often."""
        ...


@dataclass(frozen=True)
class NoPruner:
    """Every trial is trained to its end."""

    def build(self, train: TrainConfig) -> BasePruner:
        """Never prunes."""
        return NopPruner()


@dataclass(frozen=True)
class Median:
    """Prunes a trial whose best evaluation so far is below the median of the others at its step."""

    startup_trials: int = setting(
        5, "Trials that must have completed before any is pruned", low=1, high=100_000
    )
    warmup_fraction: float = setting(
        0.5, "Share of its training in which no trial is pruned", low=0.0, high=1.0
    )
    min_trials: int = setting(
        3, "Trials that must have reached a step before any is judged there", low=1, high=100_000
    )

    def __post_init__(self) -> None:
        check(self)

    def build(self, train: TrainConfig) -> BasePruner:
        """Judges at every evaluation after the warm-up."""
        return self._keeping(50.0, train)

    def _keeping(self, percentile: float, train: TrainConfig) -> BasePruner:
        return PercentilePruner(
            percentile,
            n_startup_trials=self.startup_trials,
            n_warmup_steps=round(self.warmup_fraction * train.env_steps),
            n_min_trials=self.min_trials,
        )


@dataclass(frozen=True)
class Percentile(Median):
    """Prunes a trial whose best evaluation so far is not among the best `percentile` per cent at its step."""

    percentile: float = setting(75.0, "Share of trials that go on, in per cent", low=0.1, high=99.9)

    def build(self, train: TrainConfig) -> BasePruner:
        """Judges at every evaluation after the warm-up."""
        return self._keeping(self.percentile, train)


@dataclass(frozen=True)
class Patient(Median):
    """Prunes a trial that the median pruner would prune and whose return declines as well."""

    patience: int = setting(3, "Evaluations in decline before a trial may be pruned", low=1, high=100_000)
    min_delta: float = setting(0.0, "Decline of the return that is tolerated", low=0.0, high=1e9)

    def build(self, train: TrainConfig) -> BasePruner:
        """The median pruner behind a condition of its own."""
        with warnings.catch_warnings():  # experimental since 2021; no news to whoever names it
            warnings.simplefilter("ignore", ExperimentalWarning)
            return PatientPruner(self._keeping(50.0, train), patience=self.patience, min_delta=self.min_delta)


@dataclass(frozen=True)
class SuccessiveHalving:
    """Asynchronous successive halving: of the trials at a rung, the best 1/reduction continue to the next."""

    min_evaluations: int = setting(3, "Evaluations before the first rung", low=1, high=100_000)
    reduction: int = setting(3, "Length of a rung over the one before", low=2, high=100)
    startup_trials: int = setting(
        5, "Trials that must reach a rung before any is pruned there", low=0, high=100_000
    )

    def __post_init__(self) -> None:
        check(self)

    def build(self, train: TrainConfig) -> BasePruner:
        """Rungs in environment steps."""
        return SuccessiveHalvingPruner(
            min_resource=self.min_evaluations * train.evaluation.every_steps,
            reduction_factor=self.reduction,
            bootstrap_count=self.startup_trials,
        )


@dataclass(frozen=True)
class Hyperband:
    """Successive halving in several brackets, some of which prune late: for when early results mislead."""

    min_evaluations: int = setting(
        3, "Evaluations before the first rung of the keenest bracket", low=1, high=100_000
    )
    reduction: int = setting(3, "Length of a rung over the one before", low=2, high=100)

    def __post_init__(self) -> None:
        check(self)

    def build(self, train: TrainConfig) -> BasePruner:
        """Brackets up to the whole training."""
        first = self.min_evaluations * train.evaluation.every_steps
        return HyperbandPruner(
            min_resource=min(first, train.env_steps),
            max_resource=train.env_steps,
            reduction_factor=self.reduction,
        )


PRUNERS: dict[str, type[Pruner]] = {
    "none": NoPruner,
    "median": Median,
    "percentile": Percentile,
    "patient": Patient,
    "halving": SuccessiveHalving,
    "hyperband": Hyperband,
}
"""Every pruner a study may name."""


def build_pruner(component: Component, train: TrainConfig) -> BasePruner:
    """The pruner of a study whose trials train like this. Raises ConfigError."""
    return options("pruner", PRUNERS, component).build(train)
