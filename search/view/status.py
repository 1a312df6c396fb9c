"""Status: a study as it stands in its storage; nothing is changed."""

import gc
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC
from typing import Any

from optuna.trial import FrozenTrial

from search.slots import budget, claim, liveness
from search.slots.keys import COST, DEFAULTS, START, UPDATES
from search.slots.lease import SlotRow
from search.slots.score import mean
from search.slots.studies import StudyHandle, refuse_deleted
from search.storage.reader import Reader
from search.study.confirmation import CANDIDATE, SEED, held_out_label
from search.study.study_spec import StudySpec
from search.view.external_trials import external_trials
from search.view.trial_history import TrialHead, all_trials, find_marked, heads
from search.view.views import StudyView, TrialState, TrialView


@contextmanager
def gc_paused() -> Iterator[None]:
    """Keep this process's garbage collector out of a block: thousands of small objects are made there, and stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def read(
    store: Reader,
    handle: StudyHandle,
    tracking: str = "",
    began: float | None = None,
    recent: int | None = None,
) -> StudyView:
    """The study at one moment; `began`: time.monotonic() of the command that shows it, for its own elapsed time.

    `recent`: how many of the newest trials have parameters and curves, beside the defaults, the best and those in work;
    all have without it, which takes longer where there are thousands. Raises StorageUnavailable, StudyDeleted.
    """
    spec, study_id = StudySpec.from_json(handle.spec), handle.study_id
    with store.snapshot() as moment:
        refuse_deleted(moment, handle)
        slots = budget.rows(moment, study_id)
        whole = None if recent is None else _whole(slots, recent) | find_marked(moment, study_id, START)
        known = heads(moment, study_id)
        trials = {t._trial_id: t for t in all_trials(moment, study_id, whole)}
        others = external_trials(moment, handle, known)
        desired = claim.read_desired_state(moment, study_id)
    slots = [_without_dead_worker(slot) for slot in slots]
    views = [_view(spec, slot, known, trials) for slot in slots]
    default = next((t.number for t in trials.values() if t.user_attrs.get(START) == 0), None)
    elapsed = time.monotonic() - began if began is not None else _age(handle, views, known.values())
    return StudyView(
        name=handle.name,
        task=spec.task,
        profile=spec.profile,
        storage=store.address,
        tracking=tracking,
        wanted=desired,
        parent=spec.parent.name if spec.parent else "",
        trials=views,
        default_number=default,
        elapsed_seconds=max(0.0, elapsed),
        eta_seconds=_eta(spec, views),
        external=len(others.external),
        enqueued=len(others.waiting),
        workers=sorted({view.worker for view in views if (view.lease_seconds or 0.0) > 0.0}),
        unpublished=[view.number for slot, view in zip(slots, views, strict=True) if _left(slot)],
    )


def _without_dead_worker(slot: SlotRow) -> SlotRow:
    """The slot; where its worker was one of this machine and is gone, with a lease that has run out."""
    is_held = (slot.expires_in or 0.0) > 0.0 and slot.progress.get("token") == slot.token
    return replace(slot, expires_in=0.0) if is_held and liveness.is_gone(slot.progress) else slot


def _whole(slots: Sequence[SlotRow], recent: int) -> set[int]:
    """Ids of the trials of which more than the result is shown."""
    complete = [(s.value, -s.number, s) for s in slots if s.outcome == "complete" and s.value is not None]
    best = [max(complete)[2]] if complete else []
    begun = [s for s in slots if s.trial_id is not None]
    shown = [*begun[max(0, len(begun) - recent) :], *(s for s in begun if s.outcome is None)]
    return {s.trial_id for s in (*shown, *best) if s.trial_id is not None}


def _left(slot: SlotRow) -> bool:
    """Whether a trial has its result, and no worker is sending what MLflow lacks of it."""
    return slot.outcome is not None and not slot.published and (slot.expires_in or 0.0) <= 0.0


def _age(handle: StudyHandle, views: Sequence[TrialView], trials: Iterable[TrialHead]) -> float:
    """Seconds from the creation of a study until now, or until its last trial ended."""
    ends = [head.ended for head in trials if head.ended is not None]
    over = bool(ends) and all(view.ended for view in views)
    return (max(ends).replace(tzinfo=UTC).timestamp() if over else time.time()) - handle.created_at


def _view(
    spec: StudySpec, slot: SlotRow, known: Mapping[int, TrialHead], trials: Mapping[int, FrozenTrial]
) -> TrialView:
    if slot.trial_id is None or slot.trial_id not in known:
        return _trial(spec, slot, slot.number, None)
    return _trial(spec, slot, known[slot.trial_id].number, trials.get(slot.trial_id))


def _trial(spec: StudySpec, slot: SlotRow, number: int, trial: FrozenTrial | None) -> TrialView:
    progress: Mapping[str, Any] = slot.progress or {}
    if progress.get("token", slot.token) != slot.token and slot.outcome is None:
        progress = {}  # written by the worker before this one
    reports = sorted(trial.intermediate_values.items()) if trial else []
    reported = [value for _, value in reports]
    saved = max([ref.step for ref in slot.checkpoints], default=0)
    step = int(progress.get("step") or saved)  # a worker that has just taken it up has written nothing yet
    if slot.outcome is None and not _lives(slot):
        step = saved
    if slot.outcome == "complete":
        step = spec.config.env_steps
    score = slot.value if slot.outcome == "complete" else _running_score(reported, spec.score_evaluations)
    return TrialView(
        number=number,
        state=_state(slot),
        params=spec.space.settings(trial.params) if trial else {},
        step=step,
        env_steps=spec.config.env_steps,
        curve=reported,
        curve_steps=[at for at, _ in reports],
        curve_step=reports[-1][0] if reports else 0,
        score=score,
        steps_per_second=progress.get("env_steps_per_second"),
        updates_per_second=progress.get("updates_per_second"),
        updates=progress.get(UPDATES),
        processor_seconds=progress.get(COST),
        worker=slot.owner or "",
        device=str(progress.get("device", "")),
        lease_seconds=_lease(slot),
        attempt=slot.attempt,
        run_id=slot.mlflow_run_id,
        model_uri=slot.model_uri,
        note=slot.reason or "",
        label=_label(trial) if spec.parent and trial else UNBOUND if spec.parent and _lives(slot) else "",
    )


UNBOUND = "about to begin"
"""Of a confirmation's slot that a worker has just claimed: which training it gets is not known for a moment."""


def _label(trial: FrozenTrial) -> str:
    """Which candidate and held-out seed a confirmation's trial is, also before Optuna has its parameters."""
    given = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    if CANDIDATE not in given or SEED not in given:
        return ""
    return held_out_label(given[CANDIDATE], given[SEED], bool(trial.user_attrs.get(DEFAULTS)))


def _lease(slot: SlotRow) -> float | None:
    """What is left of a lease to train, or of one to send a result; once that ran out, the trial is unpublished."""
    if slot.state == "leased":
        return slot.expires_in
    sending = slot.outcome is not None and not slot.published and slot.owner is not None
    return slot.expires_in if sending and (slot.expires_in or 0.0) > 0.0 else None


def _running_score(reported: Sequence[float], last: int) -> float | None:
    return mean(reported[-last:]) if reported else None


def _lives(slot: SlotRow) -> bool:
    return slot.state == "leased" and (slot.expires_in or 0.0) > 0.0


def _state(slot: SlotRow) -> TrialState:
    if slot.outcome is not None:
        return slot.outcome
    if _lives(slot):
        return "running"
    return "released" if slot.trial_id is not None or slot.state == "leased" else "waiting"


def _eta(spec: StudySpec, trials: Sequence[TrialView]) -> float | None:
    """Updates left by updates a second; random steps cost next to nothing."""
    if all(trial.ended for trial in trials):
        return 0.0
    rates = [t.updates_per_second for t in trials if t.state == "running" and t.updates_per_second]
    if not rates:
        return None
    random_steps = spec.config.random_steps
    left = sum(t.env_steps - max(t.step, random_steps) for t in trials if not t.ended)
    per_step = spec.config.updates_per_step
    running = sum(t.state == "running" for t in trials)
    return left * per_step / (mean(rates) * max(1, running))
