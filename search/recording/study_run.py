"""Overview: the study's own run in MLflow, which tells what is searched, where, how far it is and the best so far."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial

from search.slots import budget
from search.slots.lease import SlotRow
from search.slots.study import StudyHandle, open_study
from search.spec.spec import StudySpec
from search.storage.patience import patiently
from search.storage.store import Store
from tracking.point import Row
from tracking.tracker import RunInfo, Tracker

BEST = "study/best_value"
OUTCOMES = ("complete", "pruned", "diverged", "failed")


@dataclass(frozen=True)
class Ending:
    """A trial that has its result."""

    time_ms: int
    number: int
    outcome: str
    value: float | None


def parent_info(spec: StudySpec, handle: StudyHandle, storage: str) -> RunInfo:
    """The study's own run; `storage` is its address without a password."""
    tags = {
        "omad.task": spec.task,
        "omad.profile": spec.profile,
        "omad.storage": storage,
        "mlflow.note.content": description(spec, storage),
        "mlflow.source.name": "omad-search",
        "mlflow.source.type": "LOCAL",
    }
    return RunInfo(
        name=spec.name,
        study=spec.name,
        study_id=handle.uid,
        params=_numbers(spec) | {f"space/{d.path}": _searched(d) for d in spec.space.dimensions},
        tags=tags,
        documents={"spec.json": json.loads(spec.to_json())},
    )


def _numbers(spec: StudySpec) -> dict[str, Any]:
    return {
        "study/seeds": spec.seeds,
        "study/seed": spec.seed,
        "study/env_steps": spec.config.env_steps,
        "study/sampler": spec.sampler.name,
        "study/pruner": spec.pruner.name,
        "study/score_evaluations": spec.score_evaluations,
    }


def _searched(dimension: Any) -> str:
    """A dimension in words, its condition included."""
    conditions = [
        f"{path} = {' or '.join(map(str, values))}" for path, values in (dimension.when or {}).items()
    ]
    return str(dimension) + (f" (when {' and '.join(conditions)})" if conditions else "")


def description(spec: StudySpec, storage: str) -> str:
    """What the run's page says at its top, in Markdown."""
    rows = "\n".join(f"| `{d.path}` | {_searched(d)} |" for d in spec.space.dimensions)
    return f"""**{spec.task}**, profile `{spec.profile}`: trials of {spec.config.env_steps:,} environment steps, \
{spec.seeds} seed{"s" if spec.seeds > 1 else ""} each, proposed by `{spec.sampler.name}`, pruned by \
`{spec.pruner.name}`, kept in `{storage}`.

A trial's value is the mean return of its last {spec.score_evaluations} evaluations. `spec.json` among the artifacts \
holds every setting.

| searched | values |
|---|---|
{rows}
"""


def record(store: Store, tracker: Tracker, name: str) -> None:
    """Tell the study's run how far the study is. Every call can be repeated; raises TrackingUnavailable."""
    handle = patiently(lambda: open_study(store, name))
    slots = patiently(lambda: budget.rows(store, handle.study_id))
    ended = patiently(lambda: endings(store, handle, slots))
    run_id = tracker.open_run(parent_info(StudySpec.from_json(handle.spec), handle, store.address))
    known = tracker.steps_of(run_id, BEST)
    tracker.log_rows(run_id, [row for row in best_over_time(ended) if row.step not in known])
    tracker.set_tags(run_id, {"omad.progress": progress(ended, len(slots))})


def endings(store: Store, handle: StudyHandle, slots: Sequence[SlotRow]) -> list[Ending]:
    """The trials that have ended, in the order of their ends."""
    with store.guard():
        trials = {t._trial_id: t for t in store.optuna.get_all_trials(handle.study_id, deepcopy=False)}
    found = [
        (slot, trials.get(-1 if slot.trial_id is None else slot.trial_id)) for slot in slots if slot.outcome
    ]
    return sorted(
        (_ending(slot, trial) for slot, trial in found if trial is not None and trial.datetime_complete),
        key=lambda ending: (ending.time_ms, ending.number),
    )


def _ending(slot: SlotRow, trial: FrozenTrial) -> Ending:
    time_ms = int(trial.datetime_complete.timestamp() * 1000) if trial.datetime_complete else 0
    return Ending(time_ms, trial.number, str(slot.outcome), slot.value)


def best_over_time(ended: Sequence[Ending]) -> list[Row]:
    """The best value after each ended trial, once there is one; the step is the number of ended trials."""
    rows, best = [], None
    for count, ending in enumerate(ended, start=1):
        if ending.outcome == "complete" and ending.value is not None:
            best = ending.value if best is None else max(best, ending.value)
        if best is not None:
            rows.append(Row(count, ending.time_ms, {BEST: best}))
    return rows


def progress(ended: Sequence[Ending], total: int) -> str:
    """Such as `7 of 10 trials ended: 5 complete, 2 pruned`."""
    counts = {outcome: sum(each.outcome == outcome for each in ended) for outcome in OUTCOMES}
    parts = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    return f"{len(ended)} of {total} trials ended" + (f": {parts}" if parts else "")
