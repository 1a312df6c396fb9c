"""StudyRun: the study's own run in MLflow, which shows what is searched, where, the progress and the best so far."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from search.confirmation.pair import parent_of
from search.slots import budget
from search.slots.lease import SlotRow
from search.slots.studies import StudyHandle, open_study
from search.storage.patience import patiently
from search.storage.reader import Reader
from search.storage.store import Store
from search.study.study_spec import StudySpec
from search.view.trial_history import TrialHead, heads
from search.view.wording import count
from tracking.row import Row
from tracking.tracker import RunInfo, Tracker

BEST = "study/best_value"
MOST_OVERRIDES = 20
"""More do not fit into a tag; `spec.json` has all."""
OUTCOMES = ("complete", "pruned", "diverged", "failed")


@dataclass(frozen=True)
class Ending:
    """A trial that has ended."""

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
    tags["omad.kind"] = spec.kind
    return RunInfo(
        name=spec.kind if spec.parent else spec.name,
        study=spec.experiment,
        study_id=handle.uid,
        parent_study_id=_above(spec),
        params=_numbers(spec) | {f"space/{d.path}": _describe(d) for d in spec.space.dimensions},
        tags=tags,
        documents={"spec.json": json.loads(spec.to_json())},
    )


def _above(spec: StudySpec) -> str:
    """The study, or comparison, whose run this one's is below."""
    above = spec.parent or spec.comparison
    return above.uid if above else ""


def _numbers(spec: StudySpec) -> dict[str, Any]:
    return {
        "study/seeds": spec.seeds,
        "study/seed": spec.seed,
        "study/env_steps": spec.config.env_steps,
        "study/sampler": spec.sampler.name,
        "study/pruner": spec.pruner.name,
        "study/score_evaluations": spec.score_evaluations,
    }


def _describe(dimension: Any) -> str:
    """A dimension in words, its condition included."""
    conditions = [
        f"{path} = {' or '.join(map(str, values))}" for path, values in (dimension.when or {}).items()
    ]
    return str(dimension) + (f" (when {' and '.join(conditions)})" if conditions else "")


def description(spec: StudySpec, storage: str) -> str:
    """The description at the top of the run's page, in Markdown."""
    if spec.parent is not None:
        return (
            f"The best of `{spec.parent.name}` and its defaults, trained again for {spec.config.env_steps:,} "
            f"environment steps on seeds that no search has seen, kept in `{storage}`. A training's value is the mean "
            f"return of its last {spec.score_evaluations} evaluations.\n"
        )
    rows = "\n".join(f"| `{d.path}` | {_describe(d)} |" for d in spec.space.dimensions)
    return f"""**{spec.task}**, profile `{spec.profile}`: trials of {spec.config.env_steps:,} environment steps, \
{spec.seeds} seed{"s" if spec.seeds > 1 else ""} each, proposed by `{spec.sampler.name}`, pruned by \
`{spec.pruner.name}`, kept in `{storage}`.

A trial's value is the mean return of its last {spec.score_evaluations} evaluations. `spec.json` among the artifacts \
holds every setting.

| searched | values |
|---|---|
{rows}
{_overridden(spec)}"""


def _overridden(spec: StudySpec) -> str:
    """What a profile or an option gave another value than a file, or a study file than the base."""
    overrides = spec.origin.overrides if spec.origin else ()
    lines = "\n".join(f"- {override}" for override in overrides[:MOST_OVERRIDES])
    return f"\nOverridden:\n\n{lines}\n" if lines else ""


def record(store: Store, tracker: Tracker, name: str) -> None:
    """Record in the study's run how far the study is. Repeatable; raises TrackingUnavailable."""
    handle, ended, total = patiently(lambda: _read(store, name))
    run_id = tracker.open_run(parent_info(StudySpec.from_json(handle.spec), handle, store.address))
    if parent_of(handle) is None:  # a confirmation looks for no best one
        known = tracker.steps_of(run_id, BEST)
        tracker.log_rows(run_id, [row for row in best_over_time(ended) if row.step not in known])
    tracker.set_tags(run_id, {"omad.progress": progress(ended, total)})


def _read(store: Store, name: str) -> tuple[StudyHandle, list[Ending], int]:
    """The study, its trials that have ended, and its budget, at one moment."""
    with store.snapshot() as moment:
        handle = open_study(moment, name)
        slots = budget.rows(moment, handle.study_id)
        return handle, endings(moment, handle, slots), len(slots)


def endings(store: Reader, handle: StudyHandle, slots: Sequence[SlotRow]) -> list[Ending]:
    """The trials that have ended, in the order of their ends."""
    trials = heads(store, handle.study_id)
    endings_found = [
        (slot, trials.get(-1 if slot.trial_id is None else slot.trial_id)) for slot in slots if slot.outcome
    ]
    return sorted(
        (_ending(slot, trial) for slot, trial in endings_found if trial is not None and trial.ended),
        key=lambda ending: (ending.time_ms, ending.number),
    )


def _ending(slot: SlotRow, trial: TrialHead) -> Ending:
    time_ms = int(trial.ended.replace(tzinfo=UTC).timestamp() * 1000) if trial.ended else 0
    return Ending(time_ms, trial.number, str(slot.outcome), slot.value)


def best_over_time(ended: Sequence[Ending]) -> list[Row]:
    """The best value after each ended trial, once there is one; the step is the number of ended trials."""
    rows, best = [], None
    for step, ending in enumerate(ended, start=1):
        if ending.outcome == "complete" and ending.value is not None:
            best = ending.value if best is None else max(best, ending.value)
        if best is not None:
            rows.append(Row(step, ending.time_ms, {BEST: best}))
    return rows


def progress(ended: Sequence[Ending], total: int) -> str:
    """Such as `7 of 10 trials ended: 5 complete, 2 pruned`."""
    counts = {outcome: sum(each.outcome == outcome for each in ended) for outcome in OUTCOMES}
    parts = ", ".join(f"{n} {outcome}" for outcome, n in counts.items() if n)
    return f"{len(ended)} of {count(total, 'trial')} ended" + (f": {parts}" if parts else "")
