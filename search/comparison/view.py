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
        values = [of(training) for training in self.candidate.trainings.values() if training.ended]
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
        return all(algorithm.ended for algorithm in self.algorithms)

    @property
    def settings(self) -> list[SettingView]:
        """Tuned ones in the order of the algorithms, then the untuned ones."""
        tuned = [algorithm.tuned for algorithm in self.algorithms if algorithm.tuned]
        return [*tuned, *(algorithm.untuned for algorithm in self.algorithms if algorithm.untuned)]

    @property
    def seeds(self) -> list[int]:
        """Every held-out seed of any of them."""
        return sorted({seed for setting in self.settings for seed in setting.candidate.values})

    @property
    def on_gpu(self) -> bool:
        """Whether costs are seconds of a GPU."""
        trained = [t for setting in self.settings for t in setting.candidate.trainings.values()]
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
        algorithms = [
            AlgorithmView(
                algorithm_of(study),
                status.read(moment, study, tracking),
                confirmation.read(moment, study, tracking),
            )
            for study in studies
        ]
    return compare_all(
        ComparisonView(
            name=spec.experiment,
            task=spec.task,
            trials=max(len(algorithm.search.trials) for algorithm in algorithms),
            env_steps=spec.config.env_steps,
            window=spec.score_evaluations,
            algorithms=algorithms,
            level=level,
        )
    )


def compare_all(comparison: ComparisonView) -> ComparisonView:
    """With the settings of its algorithms, their differences to the first one's, and steps to the level."""
    tuned = _versus([_setting(algorithm, best=True) for algorithm in comparison.algorithms])
    untuned = _versus([_setting(algorithm, best=False) for algorithm in comparison.algorithms])
    level = comparison.level if comparison.level is not None else _level(tuned)
    algorithms = [
        replace(
            each,
            tuned=_with_steps(best, level, comparison.window),
            untuned=_with_steps(defaults, level, comparison.window),
        )
        for each, best, defaults in zip(comparison.algorithms, tuned, untuned, strict=True)
    ]
    return replace(comparison, algorithms=algorithms, level=level)


def _setting(algorithm: AlgorithmView, *, best: bool) -> SettingView | None:
    """The tuned or the untuned setting of an algorithm, once it is trained again."""
    held_out = algorithm.confirmation
    candidate = None if held_out is None else held_out.best if best else held_out.default
    return None if candidate is None else SettingView(algorithm.name, best, candidate)


def _versus(settings: Sequence[SettingView | None]) -> list[SettingView | None]:
    """Each against the first one, with p-values corrected for their number."""
    first = settings[0]
    known = [
        setting if setting is None or setting is first else _against(setting, first) for setting in settings
    ]
    p_values = {
        n: setting.versus.p_value
        for n, setting in enumerate(known)
        if setting is not None and setting.versus is not None and setting.versus.p_value is not None
    }
    corrected = holm(p_values)
    return [
        setting if setting is None else replace(setting, p_corrected=corrected.get(n))
        for n, setting in enumerate(known)
    ]


def _against(setting: SettingView, first: SettingView | None) -> SettingView:
    """Only where both have a value of every seed that both are trained with."""
    if first is None:
        return setting
    ours, theirs = setting.candidate.values, first.candidate.values
    pairs = [(ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]
    whole = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not whole or len(whole) < len(pairs):
        return setting
    values, baseline = [a for a, _ in whole], [b for _, b in whole]
    improvement = probability_of_improvement(values, baseline)
    return replace(setting, versus=compare(values, baseline), improvement=improvement)


def _level(tuned: Sequence[SettingView | None]) -> float | None:
    """What every tuned algorithm ends at or above; None before all have ended."""
    estimates = [each.candidate.estimate if each else None for each in tuned]
    points = [known.point for known in estimates if known is not None]
    return min(points) if points and len(points) == len(estimates) else None


def _with_steps(setting: SettingView | None, level: float | None, window: int) -> SettingView | None:
    if setting is None or level is None or not math.isfinite(level) or setting.candidate.estimate is None:
        return setting
    trainings = sorted(setting.candidate.trainings.items())
    reached = {seed: steps_to_level(t.curve_steps, t.curve, level, window) for seed, t in trainings}
    return replace(setting, reached=reached)
