"""Trials: a search as a study in memory that Optuna can draw: parameters by the names and values of settings."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.reports.page.figures.style import text, thinned
from search.study.dimensions import FloatDimension, IntDimension, OneMinusDimension, PowerOfTwoDimension
from search.study.space import Space
from search.view.views import StudyView, TrialView

STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.FAIL,
    "failed": TrialState.FAIL,
}
MOST_EVALUATIONS = 60
"""Of a trial's curve."""


def names(space: Space) -> dict[str, str]:
    """By a setting's path what plots call it: a number whose distance from 1 is searched is shown as that."""
    titles: dict[str, str] = {}
    for dimension in space.dimensions:
        apart = isinstance(dimension, OneMinusDimension)
        titles.setdefault(dimension.path, text(dimension.parameter if apart else dimension.path))
    return titles


def in_memory(study: StudyView, space: Space) -> optuna.Study:
    """The begun trials of a search, under their numbers' order; scores as `best` and `trials` show them."""
    begun = [trial for trial in study.trials if trial.state != "waiting" and trial.params]
    params = [dict(_shown(trial.params, space)) for trial in begun]
    known = _distributions(params, space)
    made = optuna.create_study(direction="maximize", study_name=text(study.name))
    made.add_trials([_trial(view, assigned, known) for view, assigned in zip(begun, params, strict=True)])
    return made


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """Those with a score."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def some(study: optuna.Study, most: int) -> optuna.Study:
    """With at most so many of the complete trials: evenly spaced by score, the best and the worst among them."""
    ranked = sorted(complete(study), key=lambda trial: trial.value or 0.0)
    if len(ranked) <= most:
        return study
    kept = sorted((ranked[at] for at in thinned(len(ranked), most)), key=lambda trial: trial.number)
    return _with(kept)


def evaluated(study: optuna.Study, numbers: Sequence[int]) -> optuna.Study:
    """The trials of these numbers that have a curve; those that failed as ended early, as Optuna leaves them out."""
    wanted = set(numbers)
    chosen = [
        trial for trial in study.get_trials() if number_of(trial) in wanted and trial.intermediate_values
    ]
    for trial in chosen:
        if trial.state is TrialState.FAIL:
            trial.state = TrialState.PRUNED
    return _with(chosen)


def number_of(trial: FrozenTrial) -> int:
    """The trial's number in the search."""
    return int(trial.user_attrs["number"])


def _with(trials: Sequence[FrozenTrial]) -> optuna.Study:
    made = optuna.create_study(direction="maximize")
    made.add_trials(trials)
    return made


def _trial(trial: TrialView, params: Mapping[str, Any], known: Mapping[str, BaseDistribution]) -> FrozenTrial:
    state, score = STATES.get(trial.state, TrialState.RUNNING), trial.score
    if state is TrialState.COMPLETE and (score is None or not math.isfinite(score)):
        state = TrialState.FAIL
    at = thinned(len(trial.curve), MOST_EVALUATIONS)
    return create_trial(
        state=state,
        value=score if state is TrialState.COMPLETE else None,
        params=dict(params),
        distributions={name: known[name] for name in params},
        user_attrs={"number": trial.number},
        intermediate_values={trial.curve_steps[n]: trial.curve[n] for n in at},
    )


def _shown(params: Mapping[str, Any], space: Space) -> Iterator[tuple[str, Any]]:
    called = names(space)
    distances = {dimension.path for dimension in space.dimensions if isinstance(dimension, OneMinusDimension)}
    for path, value in params.items():
        if path in distances and isinstance(value, float):
            yield called[path], 1.0 - value
        else:
            yield called.get(path, text(path)), value if isinstance(value, (int, float)) else text(value)


def _distributions(params: Sequence[Mapping[str, Any]], space: Space) -> dict[str, BaseDistribution]:
    """One a name, wide enough for every value there is."""
    values: dict[str, list[Any]] = {}
    for assigned in params:
        for name, value in assigned.items():
            values.setdefault(name, []).append(value)
    logs = _logarithmic(space)
    return {name: _distribution(assigned, name in logs) for name, assigned in values.items()}


def _distribution(values: Sequence[Any], log: bool) -> BaseDistribution:
    whole = all(isinstance(value, int) for value in values)
    if any(isinstance(value, (str, bool)) for value in values):
        return CategoricalDistribution(sorted(set(values), key=str))
    low, high = min(values), max(values)
    if whole:
        return IntDistribution(low, high, log=log and low > 0)
    return FloatDistribution(low, high, log=log and low > 0.0)


def _logarithmic(space: Space) -> set[str]:
    called = names(space)
    logarithmic = set()
    for dimension in space.dimensions:
        match dimension:
            case FloatDimension(log=True) | IntDimension(log=True):
                logarithmic.add(called[dimension.path])
            case PowerOfTwoDimension() | OneMinusDimension():
                logarithmic.add(called[dimension.path])
    return logarithmic
