"""Creation: a study for `run`, created or joined with its budget and its parent run; joining one for a worker."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from search.confirmation.pair import refuse_confirmation, refuse_taken, set_desired_state
from search.recording.study_run import parent_info
from search.recording.tracking_store import ensure_recorded
from search.slots import budget
from search.slots.studies import StudyHandle, create_study, list_studies, open_study
from search.steering.commands import refuse_moved
from search.steering.reuse import reuse
from search.storage.store import Store, look_into
from search.study import catalog
from search.study.confirmation import refuse_new_name
from search.study.files.edits import refuse_edits
from search.study.request import StudyRequest, refuse_differences
from search.study.study_spec import StudySpec
from tracking.errors import TrackingUnavailable
from tracking.tracker import Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenedStudy:
    """A study that exists now."""

    handle: StudyHandle
    spec: StudySpec
    """The stored one."""
    run_id: str
    """The study's own MLflow run."""
    created: bool
    added: int
    """Trials by which the budget was extended."""


def build(requested: StudyRequest, name: str | None, has_gpu: bool) -> StudySpec:
    """The spec that a new study would get. Raises ConfigError, TaskError."""
    return catalog.build(catalog.find(requested.task or "hopper"), requested, has_gpu=has_gpu, name=name)


def open_for_running(
    store: Store,
    tracker: Tracker,
    spec: StudySpec,
    requested: StudyRequest,
    enqueue: Sequence[Mapping[str, Any]] = (),
) -> OpenedStudy:
    """Create the study, or join it with its stored spec. Raises SpecConflict naming every option that differs.

    `enqueue`: Optuna's parameters of the trials that come after the defaults in a new study.
    """
    text = spec.to_json()
    _refuse_names(store, spec)
    tracker.check_study(spec.experiment)  # before anything is made
    handle = create_study(store, spec.name, spec.trials, text, [spec.defaults(), *enqueue])
    stored = StudySpec.from_json(handle.spec)
    refuse_moved(store, handle)
    trials = refuse_other_settings(spec.name, stored, requested)
    handle = ensure_recorded(store, handle, tracker)
    added = budget.extend(store, handle.study_id, trials) if trials > stored.trials else 0
    set_desired_state(store, handle, "running")
    run_id = tracker.open_run(parent_info(stored, handle, store.address))
    tracker.resume_run(run_id)
    return OpenedStudy(handle, stored, run_id, handle.spec == text, added)


def _refuse_names(store: Store, spec: StudySpec) -> None:
    """Raise SpecConflict, ConfigError where the study, or its confirmation, cannot have its name."""
    namesake = next((study for study in list_studies(store) if study.name == spec.name), None)
    if namesake is None:
        refuse_new_name(spec.name)
    else:
        refuse_confirmation(namesake, "run")
    if spec.confirm is not None:
        refuse_taken(store, spec.name, namesake.uid if namesake else None)


def refuse_other_settings(name: str, stored: StudySpec, requested: StudyRequest) -> int:
    """The trials that are asked for, by an option or a study file; 0 for no change.

    Raises SpecConflict where options, or the study file named as the task, say other settings than the study has.
    """
    task = requested.task and catalog.find(requested.task).task
    refuse_differences(name, stored, replace(requested, task=task))
    of_file = refuse_edits(name, stored, requested)
    return int(requested.numbers.get("trials", of_file))


def reuse_best(storage: str, name: str, spec: StudySpec) -> tuple[StudySpec, list[dict[str, Any]]]:
    """A new study's spec with a note of the study it reuses, and that one's best as parameters to enqueue.

    Raises StudyNotFound, StorageEmpty, SpecConflict.
    """
    with look_into(storage) as store:
        noted, params, left_out = reuse(store, name, spec)
    if left_out:
        log.warning(
            "study %s does not search the best %s of %s: its own default",
            spec.name,
            ", ".join(left_out),
            name,
        )
    return noted, [params] if params != spec.defaults() else []


def join(
    store: Store, study: str, requested: StudyRequest, tracker: Tracker, unavailable_allowed: bool = False
) -> StudyHandle:
    """The study. Raises SpecConflict where it has moved, is recorded elsewhere, or has other settings than requested.

    `unavailable_allowed`: a tracking server that was reached before may be unavailable; it is not asked then.
    """
    handle = open_study(store, study)
    refuse_moved(store, handle)
    refuse_differences(study, StudySpec.from_json(handle.spec), requested)
    try:
        tracker.check()
        return ensure_recorded(store, handle, tracker)
    except TrackingUnavailable as error:
        if not unavailable_allowed:
            raise
        log.warning("%s; work begins without it", error)
        return handle
