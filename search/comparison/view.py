"""What a comparison shows: for each algorithm its tuned and its untuned setting, beside the first algorithm's."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from omad_core.results.comparison import PairedDifference, compare, holm, probability_of_improvement
from omad_core.results.speed import median_steps, steps_to_level
from search.comparison.members import algorithm_of
from search.slots.studies import StudyHandle
from search.storage.reader import Reader
from search.study.study_spec import StudySpec
from search.view import confirmation, status
from search.view.confirmation import CandidateView, ConfirmationView
from search.view.views import StudyView, TrialView

SIGNIFICANT = 0.05
"""Corrected p-values below this are called a difference."""


@dataclass(frozen=True)
class SettingView:
    """One setting of one algorithm, trained with every held-out seed."""

    algorithm: str
    tuned: bool
    """Whether it stands for what its search found best, or for its defaults; it may be both."""
    candidate: CandidateView
    """Its values a seed, interquartile mean and interval."""
    versus: PairedDifference | None = None
    """Against the first algorithm's setting of this kind, seed by seed; of that itself none."""
    p_corrected: float | None = None
    """Corrected for the number of algorithms that are compared with the first (Holm)."""
    improvement: float | None = None
    """Share of all pairs of trainings in which it is better than the first algorithm's."""
    reached: Mapping[int, int | None] | None = None
    """Environment steps to the level by held-out seed; None for a seed that never reaches it."""

    @property
    def name(self) -> str:
        """Such as `omad tuned (trial 7)`, `omad tuned (its defaults)`, `omad untuned`."""
        if not self.tuned:
            return f"{self.algorithm} untuned"
        which = "its defaults" if self.candidate.default else f"trial {self.candidate.trial}"
        return f"{self.algorithm} tuned ({which})"

    @property
    def steps(self) -> float | None:
        """Median over seeds of the steps to the level; None where half of them never reach it."""
        return median_steps(list(self.reached.values())) if self.reached else None

    @property
    def updates(self) -> float | None:
        """Critic updates of a training."""
        return self._mean(lambda training: training.updates)

    @property
    def processor_seconds(self) -> float | None:
        """What a training costs, on a GPU in seconds of that."""
        return self._mean(lambda training: training.processor_seconds)

    @property
    def differs(self) -> bool:
        """Whether it is shown to be better or worse than the first algorithm's."""
        known = self.versus.difference if self.versus else None
        if known is None or known.low is None or known.high is None or self.p_corrected is None:
            return False
        return not known.low <= 0.0 <= known.high and self.p_corrected < SIGNIFICANT

    def _mean(self, of: Callable[[TrialView], float | None]) -> float | None:
        """Mean over the trainings that ended; None where one was not measured."""
        values = [of(each) for each in self.candidate.trainings.values() if each.ended]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known and len(known) == len(values) else None


@dataclass(frozen=True)
class AlgorithmView:
    """One algorithm's study and what its confirmation came to."""

    name: str
    search: StudyView
    confirmation: ConfirmationView | None
    tuned: SettingView | None = None
    """What its search found best."""
    untuned: SettingView | None = None
    """Its defaults; the same as tuned where the search found nothing better."""

    @property
    def studies(self) -> list[StudyView]:
        """Its search, and its confirmation where that is begun."""
        return [self.search, *([self.confirmation.study] if self.confirmation else [])]

    @property
    def ended(self) -> bool:
        """Whether nothing is left to train."""
        held_out = self.confirmation
        return self.search.ended and (held_out.study.ended if held_out else self.search.best is None)

    @property
    def search_seconds(self) -> float | None:
        """Processor seconds of its whole search; None where a trial was not measured."""
        values = [trial.processor_seconds for trial in self.search.trials if trial.state != "waiting"]
        known = [value for value in values if value is not None]
        return sum(known) if known and len(known) == len(values) else None


@dataclass(frozen=True)
class ComparisonView:
    """Algorithms that were tuned alike, on the same held-out seeds."""

    name: str
    task: str
    trials: int
    """Trials of each search; where they differ, the most."""
    env_steps: int
    window: int
    """Evaluations whose mean is a training's value."""
    algorithms: Sequence[AlgorithmView]
    """The one that the others are compared with first."""
    level: float | None = None
    """The return to which steps are counted; None before there is one."""

    @property
    def ended(self) -> bool:
        """Whether nothing is left to train."""
        return all(each.ended for each in self.algorithms)

    @property
    def settings(self) -> list[SettingView]:
        """Tuned ones in the order of the algorithms, then the untuned ones."""
        tuned = [each.tuned for each in self.algorithms if each.tuned]
        return [*tuned, *(each.untuned for each in self.algorithms if each.untuned)]

    @property
    def seeds(self) -> list[int]:
        """Every held-out seed of any of them."""
        return sorted({seed for each in self.settings for seed in each.candidate.values})

    @property
    def on_gpu(self) -> bool:
        """Whether costs are seconds of a GPU."""
        trained = [t for each in self.settings for t in each.candidate.trainings.values()]
        return any(training.device.startswith("cuda") for training in trained)


def read(
    store: Reader, studies: Sequence[StudyHandle], tracking: str = "", level: float | None = None
) -> ComparisonView:
    """The comparison of these members, the first of them the one that others are compared with.

    `level`: the return to which steps are counted; without it the lowest interquartile mean of the tuned ones.
    Raises StorageUnavailable.
    """
    spec = StudySpec.from_json(studies[0].spec)
    with store.snapshot() as moment:
        found = [
            AlgorithmView(
                algorithm_of(each),
                status.read(moment, each, tracking),
                confirmation.read(moment, each, tracking),
            )
            for each in studies
        ]
    return compare_all(
        ComparisonView(
            name=spec.experiment,
            task=spec.task,
            trials=max(len(each.search.trials) for each in found),
            env_steps=spec.config.env_steps,
            window=spec.score_evaluations,
            algorithms=found,
            level=level,
        )
    )


def compare_all(seen: ComparisonView) -> ComparisonView:
    """With the settings of its algorithms, their differences to the first one's, and steps to the level."""
    tuned = _versus([_setting(each, best=True) for each in seen.algorithms])
    untuned = _versus([_setting(each, best=False) for each in seen.algorithms])
    level = seen.level if seen.level is not None else _level(tuned)
    algorithms = [
        replace(
            each, tuned=_with_steps(best, level, seen.window), untuned=_with_steps(own, level, seen.window)
        )
        for each, best, own in zip(seen.algorithms, tuned, untuned, strict=True)
    ]
    return replace(seen, algorithms=algorithms, level=level)


def _setting(each: AlgorithmView, *, best: bool) -> SettingView | None:
    """The tuned or the untuned setting of an algorithm, once it is trained again."""
    held_out = each.confirmation
    candidate = None if held_out is None else held_out.best if best else held_out.default
    return None if candidate is None else SettingView(each.name, best, candidate)


def _versus(found: Sequence[SettingView | None]) -> list[SettingView | None]:
    """Each against the first one, with p-values corrected for their number."""
    first = found[0]
    known = [each if each is None or each is first else _against(each, first) for each in found]
    p_values = {
        n: each.versus.p_value
        for n, each in enumerate(known)
        if each is not None and each.versus is not None and each.versus.p_value is not None
    }
    corrected = holm(p_values)
    return [
        each if each is None else replace(each, p_corrected=corrected.get(n)) for n, each in enumerate(known)
    ]


def _against(each: SettingView, first: SettingView | None) -> SettingView:
    """Only where both have a value of every seed that both are trained with."""
    if first is None:
        return each
    ours, theirs = each.candidate.values, first.candidate.values
    pairs = [(ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]
    whole = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not whole or len(whole) < len(pairs):
        return each
    values, baseline = [a for a, _ in whole], [b for _, b in whole]
    improvement = probability_of_improvement(values, baseline)
    return replace(each, versus=compare(values, baseline), improvement=improvement)


def _level(tuned: Sequence[SettingView | None]) -> float | None:
    """What every tuned algorithm ends at or above; None before all have ended."""
    estimates = [each.candidate.estimate if each else None for each in tuned]
    points = [known.point for known in estimates if known is not None]
    return min(points) if points and len(points) == len(estimates) else None


def _with_steps(each: SettingView | None, level: float | None, window: int) -> SettingView | None:
    if each is None or level is None or not math.isfinite(level) or each.candidate.estimate is None:
        return each
    trainings = sorted(each.candidate.trainings.items())
    reached = {seed: steps_to_level(t.curve_steps, t.curve, level, window) for seed, t in trainings}
    return replace(each, reached=reached)
