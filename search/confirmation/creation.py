"""Creation: a confirmation is made, or extended by what it lacks, by whoever comes first.

A kill between any two writes is mended by whoever comes next.
"""

import dataclasses
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.study import StudyDirection
from sqlalchemy import delete, insert, select

from omad_core import settings
from omad_core.errors import ConfigError
from search.confirmation.candidates import HeldOutTraining, candidates, complete, keys, most_wished, trainings
from search.confirmation.pair import confirmation_of, name_taken
from search.errors import SpecConflict
from search.slots import budget, control
from search.slots.keys import ARRIVING, CONFIRMS, DEFAULTS, STUDY_UID, WISH, WISHED_STEPS
from search.slots.studies import StudyHandle, open_study
from search.storage.dbclock import now
from search.storage.store import Store
from search.storage.tables import Control, Slot
from search.study.components import Component
from search.study.confirmation import CONFIGURATION, Confirm, Parent, confirmation_name
from search.study.study_spec import StudySpec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Plan:
    """What a confirmation should hold."""

    wish: Confirm
    env_steps: int
    trainings: Sequence[HeldOutTraining]


def ensure(
    store: Store,
    search: StudyHandle,
    wish: Confirm | None = None,
    env_steps: int | None = None,
    by_hand: bool = False,
) -> StudyHandle | None:
    """The confirmation of a search, holding every training that is wished for; None where nothing is.

    A search that has not ended is confirmed `by_hand` alone; otherwise its confirmation is left as it is. `wish` is
    joined to what was wished before. Raises SpecConflict for another number of steps than it has, and for a foreign
    study of its name.
    """
    confirmation = confirmation_of(store, search)
    refuse_other_steps(store, search, env_steps)
    if not by_hand and not budget.counts(store, search.study_id).ended:
        return confirmation
    if _missing(store, search, confirmation, wish, env_steps) is None:
        return confirmation
    with store.creation_lock(), store.guard():
        search = open_study(store, search.name)
        confirmation = confirmation_of(store, search)
        plan = _missing(store, search, confirmation, wish, env_steps)
        if plan is not None:
            _write(store, search, confirmation, plan)
    return confirmation_of(store, search)


def lacks(store: Store, search: StudyHandle) -> bool:
    """Whether a search has ended and the next worker has trainings to add to its confirmation, or makes it."""
    if not budget.counts(store, search.study_id).ended:
        return False
    return _missing(store, search, confirmation_of(store, search), None, None) is not None


def read_wish(
    store: Store, search: StudyHandle, confirmation: StudyHandle | None, wish: Confirm | None = None
) -> Confirm | None:
    """What is to be confirmed: by the search's spec, by what was typed before, by what is typed now."""
    stored = _read_attributes(store, search, confirmation).get(WISH)
    typed = Confirm(**stored) if stored else None
    return most_wished(StudySpec.from_json(search.spec).confirm, typed, wish)


def carry_wish(source: Store, search: StudyHandle, target: Store) -> None:
    """Note in another storage what a confirmation was begun with that has no control row yet, so that it moves too.

    Nothing where there is none, or a whole one. Can be repeated after an interruption. Raises SpecConflict.
    """
    begun = {} if confirmation_of(source, search) else _read_attributes(source, search, None)
    if not begun:
        return
    name = confirmation_name(search.name)
    study = optuna.create_study(
        study_name=name, storage=target.optuna, direction="maximize", load_if_exists=True
    )
    _claim_name(target, study, search, name)
    for key in (WISHED_STEPS, WISH):
        if key in begun:
            study.set_user_attr(key, begun[key])


def _missing(
    store: Store,
    search: StudyHandle,
    confirmation: StudyHandle | None,
    wish: Confirm | None,
    env_steps: int | None,
) -> _Plan | None:
    """What is to be written; None where nothing is missing."""
    joined = read_wish(store, search, confirmation, wish)
    spec = StudySpec.from_json(search.spec)
    if joined is None or not complete(store, search):
        return None
    steps = _steps(store, search, confirmation) or env_steps or spec.config.env_steps
    plan = _Plan(joined, steps, trainings(candidates(store, search, spec, joined.top, steps), joined.seeds))
    if confirmation is None:
        return plan
    existing = keys(store.optuna.get_all_trials(confirmation.study_id, deepcopy=False))
    whole = {training.key for training in plan.trainings} <= existing
    slots = budget.counts(store, confirmation.study_id).total
    return None if whole and slots >= len(existing) and _has_wish(store, confirmation, joined) else plan


def _has_wish(store: Store, confirmation: StudyHandle, wish: Confirm) -> bool:
    return bool(_attributes(store, confirmation.study_id).get(WISH) == dataclasses.asdict(wish))


def _read_attributes(store: Store, search: StudyHandle, confirmation: StudyHandle | None) -> dict[str, Any]:
    """Attributes of a search's confirmation, also of one that was begun and has no control row yet; empty without."""
    if confirmation is not None:
        return _attributes(store, confirmation.study_id)
    with store.guard():
        try:
            study_id = store.rdb.get_study_id_from_name(confirmation_name(search.name))
        except (KeyError, ConfigError):
            return {}
    begun = _attributes(store, study_id)
    return begun if begun.get(CONFIRMS) == search.uid else {}


def _steps(store: Store, search: StudyHandle, confirmation: StudyHandle | None) -> int | None:
    """Environment steps that the trainings of a confirmation have; None before it is begun."""
    if confirmation is not None:
        return StudySpec.from_json(confirmation.spec).config.env_steps
    steps: int | None = _read_attributes(store, search, None).get(WISHED_STEPS)
    return steps


def _write(store: Store, search: StudyHandle, confirmation: StudyHandle | None, plan: _Plan) -> None:
    """Under the creation lock: the study, its trials, and last its slots."""
    name = confirmation_name(search.name)
    study = optuna.create_study(
        study_name=name,
        storage=store.optuna,
        sampler=RandomSampler(),
        pruner=NopPruner(),
        direction="maximize",
        load_if_exists=True,
    )
    uid = _claim_name(store, study, search, name)
    study.set_user_attr(
        WISHED_STEPS, plan.env_steps
    )  # a successor must not enqueue trainings of another length
    study.set_user_attr(WISH, dataclasses.asdict(plan.wish))
    existing = keys(study.get_trials(deepcopy=False))
    for training in plan.trainings:
        if training.key not in existing:
            existing.add(training.key)
            marks = {CONFIGURATION: dict(training.configuration), DEFAULTS: training.default}
            study.enqueue_trial(dict(training.params), user_attrs=marks)
    if confirmation is None:
        _insert(store, search, study._study_id, name, uid, _spec(search, name, plan), len(existing))
    else:
        added = budget.extend(store, study._study_id, len(existing))
        log.info("study %s: %d held-out trainings added", name, added)


def _claim_name(store: Store, study: optuna.Study, search: StudyHandle, name: str) -> str:
    """Its uid, once it is certain that it is this search's. Raises SpecConflict."""
    attributes = study.user_attrs
    if attributes.get(ARRIVING):
        raise SpecConflict(f"study {name!r} is on its way to {store.address} and not whole yet: wait")
    if attributes.get(CONFIRMS) is None and (attributes or study.get_trials(deepcopy=False)):
        raise SpecConflict(name_taken(store, name, search.name))
    if attributes.get(CONFIRMS, search.uid) != search.uid or study.directions != [StudyDirection.MAXIMIZE]:
        raise SpecConflict(name_taken(store, name, search.name))
    study.set_user_attr(CONFIRMS, search.uid)
    uid: str = attributes.get(STUDY_UID) or uuid.uuid4().hex
    study.set_user_attr(STUDY_UID, uid)
    return uid


def _spec(search: StudyHandle, name: str, plan: _Plan) -> StudySpec:
    """The search's own settings; its space is kept so that all candidates train in populations of one width."""
    spec = StudySpec.from_json(search.spec)
    return dataclasses.replace(
        spec,
        name=name,
        kind="confirmation",
        parent=Parent(search.name, search.uid),
        confirm=plan.wish,
        config=settings.replace(spec.config, {"env_steps": plan.env_steps}),
        trials=len(plan.trainings),
        seeds=1,
        sampler=Component("random", {}),
        pruner=Component("none", {}),
    )


def _insert(
    store: Store, search: StudyHandle, study_id: int, name: str, uid: str, spec: StudySpec, slots: int
) -> None:
    """Control row and slots, in the search's own state of this moment. Raises SpecConflict for one on its way."""
    with store.write() as connection:
        control.lock_row(connection, search.study_id)
        state = connection.scalar(select(Control.desired_state).where(Control.study_id == search.study_id))
        stale = (Control.name == name) | (Control.study_id == study_id)
        ids = {study_id, *connection.scalars(select(Control.study_id).where(stale))}
        connection.execute(delete(Slot).where(Slot.study_id.in_(ids)))
        connection.execute(delete(Control).where(Control.study_id.in_(ids)))
        row = {"study_id": study_id, "name": name, "uid": uid, "desired_state": state, "spec": spec.to_json()}
        connection.execute(insert(Control).values(**row, created_at=now()))
        connection.execute(insert(Slot), budget.new_slots(study_id, range(slots)))


def refuse_other_steps(store: Store, search: StudyHandle, env_steps: int | None) -> None:
    """Raise SpecConflict where a search's confirmation trains another number of steps."""
    if env_steps is None:
        return
    has = _steps(store, search, confirmation_of(store, search))
    if has is not None and has != env_steps:
        raise SpecConflict(
            f"the confirmation of {search.name!r} trains {has:,} environment steps, and "
            f"--env-steps asks for {env_steps:,}: leave it out; what has different lengths cannot be compared"
        )


def _attributes(store: Store, study_id: int) -> dict[str, Any]:
    with store.guard():
        return store.rdb.get_study_user_attrs(study_id)
