"""Opening: a study for `run`, created or joined, with its budget and its parent run."""

from dataclasses import dataclass, replace

from search.records.overview import parent_info
from search.records.whereabouts import recorded_in
from search.slots import budget
from search.slots.steering import refuse_moved
from search.slots.study import StudyHandle, create_study
from search.spec import catalog
from search.spec.given import Given, refuse_differences
from search.spec.spec import StudySpec
from search.storage.store import Store
from tracking.tracker import Tracker


@dataclass(frozen=True)
class Opened:
    """A study that exists now."""

    handle: StudyHandle
    spec: StudySpec
    """The stored one, whatever was given."""
    run_id: str
    """The study's own MLflow run."""
    created: bool
    added: int
    """Trials by which the budget was extended."""


def build(given: Given, name: str | None, has_gpu: bool) -> StudySpec:
    """The spec that a new study would get. Raises ConfigError, TaskError."""
    return catalog.build(catalog.find(given.task or "hopper"), given, has_gpu=has_gpu, name=name)


def open_for_running(store: Store, tracker: Tracker, spec: StudySpec, given: Given) -> Opened:
    """Create the study, or join it with its stored spec. Raises SpecConflict naming every option that differs."""
    text = spec.to_json()
    handle = create_study(store, spec.name, spec.trials, text, [spec.defaults()])
    stored = StudySpec.from_json(handle.spec)
    refuse_moved(store, handle)
    # A task may be given as a study file; the spec has its name.
    refuse_differences(spec.name, stored, replace(given, task=spec.task))
    trials = int(given.numbers.get("trials", 0))
    handle = recorded_in(store, handle, tracker)
    added = budget.extend(store, handle.study_id, trials) if trials > stored.trials else 0
    budget.set_wanted(store, handle.study_id, "running")
    run_id = tracker.open_run(parent_info(stored, handle, store.address))
    tracker.resume_run(run_id)
    return Opened(handle, stored, run_id, handle.spec == text, added)
