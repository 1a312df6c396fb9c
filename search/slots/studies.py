"""Studies: created once with their spec and budget, then joined."""

import difflib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import optuna
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages._rdb.models import StudyUserAttributeModel
from optuna.study import StudyDirection
from sqlalchemy import Select, insert, select

from search.errors import SpecConflict, StudyDeleted, StudyNotFound
from search.history import leftovers
from search.slots import budget
from search.slots.keys import ARRIVING, METRIC_NAMES, START, STUDY_UID
from search.slots.lease import DesiredState
from search.storage.dbclock import now
from search.storage.reader import Reader
from search.storage.store import Store
from search.storage.tables import Control, Slot


@dataclass(frozen=True)
class StudyHandle:
    """A study of a storage, with the spec it was created with."""

    name: str
    study_id: int
    uid: str
    spec: str
    """JSON text, as given to `create_study`."""
    desired_state: DesiredState
    """When the handle was read; `lease_writes.renew` and `claim.read_desired_state` return the current one."""
    created_at: float
    """Seconds since 1970 on the database's clock."""
    tracking: str | None = None
    """Address of the MLflow store it is recorded in, without a password; None before its run is opened."""
    tracking_run: str | None = None
    """Its own run there, which distinguishes that store from all others."""


def create_study(
    store: Store, name: str, trials: int, spec: str, enqueue: Sequence[Mapping[str, Any]] = ()
) -> StudyHandle:
    """The study of this name: created with its spec, budget and first trials, or as it is already.

    Callers compare the answer's `spec` with theirs. Raises SpecConflict for an Optuna study of that name
    which does not maximise one value.
    """
    if handle := _find(store, name):
        return handle
    with store.creation_lock(), store.guard():
        return _find(store, name) or _create(store, name, trials, spec, enqueue)


def open_study(store: Reader, name: str) -> StudyHandle:
    """The study of this name. Raises StudyNotFound with the nearest name."""
    with store.snapshot() as moment:
        if handle := _find(moment, name):
            return handle
        names = [handle.name for handle in list_studies(moment)]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(names) or 'none'}"
    raise StudyNotFound(f"storage {store.address} has no study {name!r}; {hint}")


def refuse_deleted(store: Reader, handle: StudyHandle) -> None:
    """Raise StudyDeleted for a study that was there and is not any more."""
    if (current := _find(store, handle.name)) is None or current.uid != handle.uid:
        raise StudyDeleted(f"study {handle.name!r} was deleted from storage {store.address}")


def list_studies(store: Reader) -> list[StudyHandle]:
    """All studies of this storage, by age. Optuna studies that others made are not among them."""
    return _handles(store, select(*Control.__table__.columns).order_by(Control.study_id))


def optuna_study(
    store: Store, handle: StudyHandle, sampler: BaseSampler | None = None, pruner: BasePruner | None = None
) -> optuna.Study:
    """The Optuna study behind it; without a sampler and pruner, one for reading and for enqueueing."""
    with store.guard():
        return optuna.load_study(
            study_name=handle.name,
            storage=store.optuna,
            sampler=sampler or RandomSampler(),
            pruner=pruner or NopPruner(),
        )


def delete_study(store: Store, handle: StudyHandle) -> None:
    """Delete a study with its trials. Its MLflow runs stay."""
    with store.guard():
        store.optuna.delete_study(handle.study_id)
    with store.write() as connection:
        leftovers.forget_studies(connection, [handle.study_id])


def _find(store: Reader, name: str) -> StudyHandle | None:
    named = _handles(store, select(*Control.__table__.columns).where(Control.name == name))
    return next((handle for handle in named if handle.name == name), None)


def _handles(store: Reader, query: Select[Any]) -> list[StudyHandle]:
    """Studies of some control rows; a study that was deleted in Optuna leaves its row, and its id is used again."""
    attributes = StudyUserAttributeModel.__table__.c
    known = select(attributes.study_id, attributes.value_json).where(attributes.key == STUDY_UID)
    with store.read() as connection:
        rows = connection.execute(query).all()
        uids = {study_id: json.loads(text) for study_id, text in connection.execute(known)}
    return [_handle(row) for row in rows if uids.get(row.study_id) == row.uid]


def _create(
    store: Store, name: str, trials: int, spec: str, enqueue: Sequence[Mapping[str, Any]]
) -> StudyHandle:
    """Under the creation lock. The control row comes last: without it, the next one does all this again."""
    study = optuna.create_study(
        study_name=name,
        storage=store.optuna,
        sampler=RandomSampler(),
        pruner=NopPruner(),
        direction="maximize",
        load_if_exists=True,
    )
    if study.directions != [StudyDirection.MAXIMIZE]:
        directions = ", ".join(direction.name.lower() for direction in study.directions)
        raise SpecConflict(
            f"storage {store.address} has an Optuna study {name!r} of another kind ({directions}; it must maximize "
            "one value); choose another name with --study"
        )
    if study.user_attrs.get(ARRIVING):
        raise SpecConflict(
            f"study {name!r} is on its way to {store.address} and not whole yet: wait; if the move was killed, "
            "the same `omad-search move` again does what is left"
        )
    uid = study.user_attrs.get(STUDY_UID) or uuid.uuid4().hex
    study.set_user_attr(STUDY_UID, uid)
    store.rdb.set_study_system_attr(study._study_id, METRIC_NAMES, ["score"])
    _enqueue_once(study, enqueue)
    _write_rows(store, study._study_id, name, uid, trials, spec)
    handle = _find(store, name)
    if handle is None:
        raise StudyNotFound(f"study {name!r} was deleted from storage {store.address} while being created")
    return handle


def _enqueue_once(study: optuna.Study, enqueue: Sequence[Mapping[str, Any]]) -> None:
    enqueued = {trial.user_attrs.get(START) for trial in study.get_trials(deepcopy=False)}
    for location, params in enumerate(enqueue):
        if location not in enqueued:
            study.enqueue_trial(dict(params), user_attrs={START: location})


def _write_rows(store: Store, study_id: int, name: str, uid: str, trials: int, spec: str) -> None:
    row = {"study_id": study_id, "name": name, "uid": uid, "desired_state": "running", "spec": spec}
    slots = budget.new_slots(study_id, range(trials))
    with store.write() as connection:
        stale = (Control.name == name) | (Control.study_id == study_id)
        old = select(Control.study_id).where(stale)
        ids = {study_id, *connection.scalars(old)}
        leftovers.forget_studies(connection, ids)
        connection.execute(insert(Control).values(**row, created_at=now()))
        if slots:
            connection.execute(insert(Slot), slots)


def _handle(row: Any) -> StudyHandle:
    return StudyHandle(**{field.name: getattr(row, field.name) for field in fields(StudyHandle)})
