"""Curves: every training of a study and of its confirmation as plain data, to study search strategies offline."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from omad_core import settings
from omad_core.errors import OmadError
from search.confirmation.pair import pair
from search.history import evaluations
from search.history.evaluations import CurvePoint
from search.slots import budget
from search.slots.lease import SlotRow
from search.slots.studies import StudyHandle
from search.storage.reader import Reader
from search.study.study_spec import StudySpec
from search.view.trial_history import all_trials


def curves(store: Reader, handle: StudyHandle) -> Iterator[dict[str, Any]]:
    """A mapping a training: study, trial, seed, outcome, configuration, evaluations, processor seconds.

    Of trials that an earlier release trained the storage has the mean over their seeds only: one mapping a trial,
    whose `seed` is None where it had several.
    """
    for study in pair(store, handle):
        yield from _of_study(store, study)


def _of_study(store: Reader, handle: StudyHandle) -> Iterator[dict[str, Any]]:
    spec, measured = StudySpec.from_json(handle.spec), defaultdict[int, list[CurvePoint]](list)
    with store.snapshot() as moment:
        rows = {row.trial_id: row for row in budget.rows(moment, handle.study_id)}
        trials = all_trials(moment, handle.study_id)
        for point in evaluations.read(moment, handle.study_id):
            measured[point.trial_id].append(point)
    for trial in trials:
        if trial._trial_id in rows:
            facts = _facts(handle, spec, trial, rows[trial._trial_id])
            for seed, curve in _trainings(spec, trial, measured[trial._trial_id]):
                yield facts | {"seed": seed, **curve}


def _facts(handle: StudyHandle, spec: StudySpec, trial: FrozenTrial, row: SlotRow) -> dict[str, Any]:
    return {
        "study": handle.name,
        "kind": spec.kind,
        "task": spec.task,
        "trial": trial.number,
        "outcome": row.outcome,
        "score": row.value,
        "parameters": dict(trial.params),
        "configuration": _configuration(spec, trial),
    }


def _configuration(spec: StudySpec, trial: FrozenTrial) -> dict[str, Any] | None:
    """Every setting but the seed; None of a trial that has no parameters, or none that can be trained."""
    try:
        config = settings.to_dict(spec.config_of(trial))
    except (OmadError, ValueError):
        return None
    return {path: value for path, value in config.items() if path != "seed"}


def _trainings(
    spec: StudySpec, trial: FrozenTrial, measured: Sequence[CurvePoint]
) -> Iterator[tuple[int | None, Mapping[str, Any]]]:
    by_seed = defaultdict[int, list[CurvePoint]](list)
    for point in measured:
        by_seed[point.seed].append(point)
    for seed, those in sorted(by_seed.items()):
        yield seed, {"evaluations": [_row(point) for point in those], "seconds": _last_seconds(those)}
    if not by_seed and trial.intermediate_values:
        means = [{"step": step, "mean": value} for step, value in sorted(trial.intermediate_values.items())]
        yield _only_seed(spec, trial), {"evaluations": means, "seconds": None}


def _row(point: CurvePoint) -> dict[str, Any]:
    mean = sum(point.returns) / len(point.returns)
    return {"step": point.step, "mean": mean, "returns": list(point.returns), "seconds": point.seconds}


def _last_seconds(those: Sequence[CurvePoint]) -> float | None:
    return max((point.seconds for point in those if point.seconds is not None), default=None)


def _only_seed(spec: StudySpec, trial: FrozenTrial) -> int | None:
    """The seed of a trial that had one; None where it had several."""
    if spec.kind == "confirmation":
        return spec.config_of(trial).seed
    return spec.training_seeds[0] if spec.seeds == 1 else None
