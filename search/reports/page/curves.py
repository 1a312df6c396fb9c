"""Curves: return by environment step of a setting, over its seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from omad_core.results.statistics import interquartile_means
from search.reports.page.figures.style import thinned
from search.view.confirmation import CandidateView, ConfirmationView
from search.view.views import StudyView, TrialView

MOST_STEPS = 200
"""Evaluations of a curve that are drawn."""


@dataclass(frozen=True)
class SeedCurves:
    """A setting's learning curves: at each step the interquartile mean over seeds, the lowest and the highest."""

    name: str
    default: bool
    seeds: int
    steps: Sequence[int]
    middle: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def confirmed(confirmation: ConfirmationView) -> list[SeedCurves]:
    """Of the best and of the defaults, on held-out seeds; of those that have any evaluation."""
    shown = [candidate for candidate in confirmation.candidates if candidate.best or candidate.default]
    return [curves for each in shown if (curves := of_candidate(each, each.name)) is not None]


def of_candidate(candidate: CandidateView, name: str) -> SeedCurves | None:
    """Of one setting; None before any of its trainings was evaluated."""
    return _over_seeds(name, candidate.default and not candidate.best, list(candidate.trainings.values()))


def searched(study: StudyView) -> list[SeedCurves]:
    """Of the best trial of the search and of the defaults, where nothing was confirmed."""
    pair = [(study.best, "best", False), (study.default, "defaults", True)]
    shown = [each for each in pair if each[0] is not study.best or not each[2]]
    return [
        curves
        for trial, role, default in shown
        if trial is not None
        and (curves := _over_seeds(f"{role}, trial {trial.number}", default, [trial])) is not None
    ]


def _over_seeds(name: str, default: bool, trainings: Sequence[TrialView]) -> SeedCurves | None:
    """At the steps that all trainings reached; one that was never evaluated does not count."""
    curves = [_finite(curve) for curve in trainings]
    curves = [curve for curve in curves if curve]
    common = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    if not common:
        return None
    steps = [common[at] for at in thinned(len(common), MOST_STEPS)]
    values = np.asarray([[curve[step] for curve in curves] for step in steps], np.float64)
    return SeedCurves(
        name,
        default,
        len(curves),
        steps,
        interquartile_means(values).tolist(),
        values.min(1).tolist(),
        values.max(1).tolist(),
    )


def _finite(trial: TrialView) -> Mapping[int, float]:
    pairs = zip(trial.curve_steps, trial.curve, strict=True)
    return {step: value for step, value in pairs if np.isfinite(value)}
