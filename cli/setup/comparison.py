"""Comparison: from options to the studies of a comparison, created or joined."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cli.setup.creation import OpenedStudy, build, open_for_running
from cli.setup.existing_study import existing_spec
from omad_core import settings
from omad_core.errors import ConfigError
from search.comparison.algorithms import requested_for
from search.comparison.members import comparison_of, members, refuse_taken
from search.comparison.run import comparison_info
from search.errors import SpecConflict, StorageEmpty
from search.recording.tracking_store import ensure_recorded
from search.slots import budget
from search.slots.studies import create_study
from search.storage.store import Store, look_into
from search.study import catalog
from search.study.comparison import DEFAULT_SUFFIX, Comparison, member_name, refuse_comparison_name
from search.study.confirmation import Confirm
from search.study.request import StudyRequest
from search.study.study_spec import StudySpec
from tracking.tracker import RunInfo, Tracker

HELD_OUT_SEEDS = 5
"""Held-out seeds of a new comparison that was given no other number."""
ALIKE = ("task", "seeds", "seed", "score_evaluations", "sampler", "pruner", "profile")
"""What the studies of a comparison have in common, beside their trials and their world."""
WORLD = ("env.", "evaluation.", "env_steps", "random_steps")
"""Beginnings of the settings that are no algorithm's own."""


@dataclass(frozen=True)
class PlannedStudy:
    """One algorithm's study, which exists already or is to be created."""

    algorithm: str
    requested: StudyRequest
    spec: StudySpec
    """The stored one, or that of the new study, whose comparison has no uid yet."""
    exists: bool


@dataclass(frozen=True)
class OpenedComparison:
    """A comparison that exists now."""

    name: str
    studies: Sequence[OpenedStudy]
    """The first one's algorithm is the one that others are compared with."""
    run: RunInfo
    """Its own run in MLflow."""
    run_id: str
    wish: Confirm | None
    """The held-out seeds that were typed; None where none were."""
    created: bool
    """Whether it is new."""
    added: int
    """Trials by which its budgets were extended."""


def comparison_name(requested: StudyRequest, name: str | None) -> str:
    """The name that was given, or the task's. Raises ConfigError, TaskError."""
    task = catalog.find(requested.task or "hopper")
    chosen = name or task.name + DEFAULT_SUFFIX
    refuse_comparison_name(chosen)
    return chosen


def plan_members(
    storage: str,
    tracking: str | None,
    name: str,
    algorithms: Sequence[str],
    requested: StudyRequest,
    seeds: int | None,
    has_gpu: bool,
) -> list[PlannedStudy]:
    """The studies, looked at before anything is made; those that exist first have to fit what was typed.

    Raises ConfigError, TaskError, SpecConflict.
    """
    _refuse_names(storage, name, algorithms)
    planned = [
        _look(storage, tracking, name, member, requested_for(member, requested), has_gpu)
        for member in algorithms
    ]
    existing = next((member.spec for member in planned if member.exists), None)
    known = [member if member.exists else _new(member, name, existing, seeds, has_gpu) for member in planned]
    for member in known[1:]:
        _refuse_unequal(known[0], member)
    return known


def _refuse_names(storage: str, name: str, algorithms: Sequence[str]) -> None:
    try:
        with look_into(storage) as store:
            refuse_taken(store, name, algorithms)
    except StorageEmpty:
        return


def _look(
    storage: str, tracking: str | None, name: str, algorithm: str, requested: StudyRequest, has_gpu: bool
) -> PlannedStudy:
    study = member_name(name, algorithm)
    try:
        stored = existing_spec(storage, study, requested, tracking)
    except SpecConflict as error:
        raise SpecConflict(_advise(str(error))) from None
    if stored is None:
        return PlannedStudy(algorithm, requested, build(requested, study, has_gpu), exists=False)
    return PlannedStudy(algorithm, requested, stored, exists=True)


def _advise(sentence: str) -> str:
    """What refuses a study names `run`; here it is another comparison that can be begun."""
    return sentence.partition(". Leave these options out")[0].partition(". Begin another study")[0] + (
        ". Type what the comparison was begun with, or begin another one with --name"
    )


def _new(
    member: PlannedStudy, name: str, existing: StudySpec | None, seeds: int | None, has_gpu: bool
) -> PlannedStudy:
    """A study that is to be made; beside others that exist it has their profile and held-out seeds."""
    requested, spec = member.requested, member.spec
    if existing is not None and requested.profile is None:
        requested = replace(requested, profile=existing.profile)
        spec = build(requested, spec.name, has_gpu)
    known = existing.confirm.seeds if existing is not None and existing.confirm else HELD_OUT_SEEDS
    new_spec = replace(spec, confirm=Confirm(1, seeds or known), comparison=Comparison(name, ""))
    return replace(member, requested=requested, spec=new_spec)


def _refuse_unequal(first: PlannedStudy, other: PlannedStudy) -> None:
    """Raise SpecConflict where two algorithms would not be tuned and trained alike."""
    ours, theirs = _alike(first.spec), _alike(other.spec)
    differing = [
        f"{part} {_shown(theirs.get(part))} (with {first.algorithm} {_shown(ours.get(part))})"
        for part in dict.fromkeys([*ours, *theirs])
        if ours.get(part) != theirs.get(part)
    ]
    if differing:
        raise SpecConflict(
            f"{other.algorithm} would be compared with {'; '.join(differing)}: a comparison gives all algorithms the "
            "same, so give the same options as when it was begun, or begin another one with --name"
        )


def _alike(spec: StudySpec) -> dict[str, object]:
    """What has to be the same for all, by what it is called: their studies' parts, settings, what is searched."""
    values = settings.to_dict(spec.config).items()
    searched = {f"[space] {each.path}": each for each in spec.space.dimensions}
    parts = {part: getattr(spec, part) for part in ALIKE}
    return (
        parts
        | {path: value for path, value in values if path.startswith(WORLD)}
        | {name: each for name, each in searched.items() if each.path.startswith(WORLD)}
    )


def _shown(value: object) -> object:
    """A sampler or pruner by its name, nothing as `none`."""
    return "none" if value is None else getattr(value, "name", value)


def open_comparison(
    store: Store, tracker: Tracker, name: str, planned: Sequence[PlannedStudy], seeds: int | None
) -> OpenedComparison:
    """Create or join its studies, all with the largest budget of them. Raises SpecConflict, ConfigError."""
    tracker.check_study(name)
    for member in members(store, name):
        if member.tracking_run is not None:
            ensure_recorded(store, member, tracker)  # in another store, and nothing is made in this one
    comparison = _identified(store, name, planned)
    identified = [member if member.exists else _with(member, comparison) for member in planned]
    info = comparison_info(identified[0].spec, comparison, store.address)
    run_id = tracker.open_run(info)  # before its studies' runs, which are below it
    tracker.resume_run(run_id)
    opened = [open_for_running(store, tracker, member.spec, member.requested) for member in identified]
    more = [member for member in members(store, name) if member.uid not in {o.handle.uid for o in opened}]
    opened += [
        OpenedStudy(each, StudySpec.from_json(each.spec), each.tracking_run or "", False, 0) for each in more
    ]
    added = sum(study.added for study in opened)
    largest = max(budget.counts(store, study.handle.study_id).total for study in opened)
    added += sum(budget.extend(store, study.handle.study_id, largest) for study in opened)
    wish = Confirm(1, seeds) if seeds else None
    created = not any(member.exists for member in planned)
    return OpenedComparison(name, opened, info, run_id, wish, created, added)


def _with(member: PlannedStudy, comparison: Comparison) -> PlannedStudy:
    return replace(member, spec=replace(member.spec, comparison=comparison))


def _identified(store: Store, name: str, planned: Sequence[PlannedStudy]) -> Comparison:
    """The comparison with its uid: that of the studies which are there, or of the first one, made now.

    Of two commands that begin it at the same moment, both go on with the uid of the study that was made first.
    """
    for member in members(store, name):
        if (known := comparison_of(member)) is not None:
            return known
    first = _with(planned[0], Comparison(name, uuid.uuid4().hex)).spec
    made = create_study(store, first.name, first.trials, first.to_json(), [first.defaults()])
    stored = comparison_of(made)
    if stored is None:
        raise ConfigError(
            f"study {first.name!r} was made by another command at this moment: type this one again"
        )
    return stored
