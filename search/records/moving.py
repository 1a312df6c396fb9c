"""Moving a study: trials, slots and control row to another storage, its runs to another tracking server."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import delete, insert, select, update

from search.errors import SpecConflict
from search.records.keeping import readdressed
from search.slots import budget, control
from search.slots.claim import wanted
from search.slots.departure import ON_ITS_WAY, Tokens, close, departing
from search.slots.keys import ARRIVING, MODEL, MOVED_TO, MOVING, STUDY_UID
from search.slots.lease import COLUMNS, refs, stored
from search.slots.steering import refuse_moved
from search.slots.study import StudyHandle, open_study
from search.storage.dbclock import now
from search.storage.store import Store
from search.storage.tables import Control, Slot

log = logging.getLogger(__name__)

CopyRuns = Callable[[], Mapping[str, str]]
"""Copies a study's MLflow runs and models; old id to new id."""

MODELS = "models:/"


def move(
    source: Store,
    handle: StudyHandle,
    target: Store,
    copy_runs: CopyRuns = dict,
    tracking: str | None = None,
) -> StudyHandle:
    """The study in its new storage; the old one is kept, and sends everybody there.

    `copy_runs` copies its MLflow runs to the tracking server `tracking`, while nobody works; old id to new id.
    Can be repeated after an interruption. Raises SpecConflict where the name is taken, or workers are at it.
    """
    if handle.wanted == "moved":
        return _arrived(source, handle, target)
    with departing(source, handle, target.address):
        runs = copy_runs()
        study = _make(source, handle, target)
        ids = _copy_trials(source, handle, target, study)
        tokens = _copy_slots(source, handle, target, study, ids, runs, tracking)
        with source.guard():
            source.rdb.set_study_user_attr(handle.study_id, MOVED_TO, target.address)
        # The old place first: between the two writes nobody may work, afterwards only in the new one.
        close(source, handle, tokens)
    return _arrived(source, handle, target)


def move_runs(store: Store, handle: StudyHandle, copy_runs: CopyRuns, tracking: str | None = None) -> None:
    """Have a study record to another tracking server of this address, to which `copy_runs` copies what it has.

    Can be repeated after an interruption. Raises SpecConflict where workers are at it.
    """
    if handle.wanted == "moved":
        refuse_moved(store, handle)
    with departing(store, handle, tracking or "another tracking server") as before:
        runs = copy_runs()
        query = select(*COLUMNS).where(Slot.study_id == handle.study_id)
        with store.write() as connection:
            for row in connection.execute(query).all():
                here = (Slot.study_id == row.study_id, Slot.number == row.number)
                values = _with_runs(row._asdict(), runs)
                connection.execute(update(Slot).where(*here).values(values))
            values = {"wanted": before, **_recorded(handle, runs, tracking)}
            control.change(connection, handle.study_id, values, ON_ITS_WAY)


def _recorded(handle: StudyHandle, runs: Mapping[str, str], tracking: str | None) -> dict[str, Any]:
    """What of the control row names the store that the study's runs are in now."""
    return {
        "tracking": tracking or handle.tracking,
        "tracking_run": runs.get(handle.tracking_run or "", handle.tracking_run),
    }


def _with_runs(row: Mapping[str, Any], runs: Mapping[str, str]) -> dict[str, Any]:
    """What of a slot names its MLflow run or model, in the tracking server where it is now."""
    model = str(row["progress"].get(MODEL, "")).removeprefix(MODELS)
    return {
        "mlflow_run_id": runs.get(row["mlflow_run_id"] or "", row["mlflow_run_id"]),
        "checkpoints": stored([readdressed(ref, runs) for ref in refs(row["checkpoints"])]),
        "progress": row["progress"] | ({MODEL: MODELS + runs[model]} if model in runs else {}),
    }


def _arrived(source: Store, handle: StudyHandle, target: Store) -> StudyHandle:
    """Let workers begin in the new place, where all of it is now. Raises SpecConflict where it is not."""
    with target.guard():
        names = {s.study_name: s for s in target.rdb.get_all_studies()}
    there = names.get(handle.name)
    if there is None or there.user_attrs.get(STUDY_UID) != handle.uid or not there.user_attrs.get(ARRIVING):
        refuse_moved(source, open_study(source, handle.name))
    elif budget.counts(target, there._study_id).total:
        if wanted(target, there._study_id) == "moving":
            budget.set_wanted(target, there._study_id, "running", ON_ITS_WAY)
        with target.guard():
            target.rdb.set_study_user_attr(there._study_id, ARRIVING, False)
    return open_study(target, handle.name)


def _make(source: Store, handle: StudyHandle, target: Store) -> int:
    """An empty study of this name, with all attributes of the old one. Raises SpecConflict."""
    with target.creation_lock(), target.guard():
        names = {s.study_name: s for s in target.rdb.get_all_studies()}
        if there := names.get(handle.name):
            same = there.user_attrs.get(STUDY_UID) == handle.uid
            if not (same and there.user_attrs.get(ARRIVING)):
                raise SpecConflict(f"storage {target.address} has a study {handle.name!r} already")
            log.info("an earlier move of study %s was interrupted; it begins again", handle.name)
            target.rdb.delete_study(there._study_id)
        new = target.rdb.create_new_study([optuna.study.StudyDirection.MAXIMIZE], handle.name)
        target.rdb.set_study_user_attr(new, ARRIVING, True)
        for key, value in source.rdb.get_study_user_attrs(handle.study_id).items():
            if key not in (ARRIVING, MOVING):  # of the move that brought it to the source, and of this one
                target.rdb.set_study_user_attr(new, key, value)
        for key, value in source.rdb.get_study_system_attrs(handle.study_id).items():
            target.rdb.set_study_system_attr(new, key, value)
        return new


def _copy_trials(source: Store, handle: StudyHandle, target: Store, study: int) -> Mapping[int, int]:
    """All trials in their order, so that they keep their numbers; old id to new id."""
    with source.guard():
        trials = source.rdb.get_all_trials(handle.study_id)
    ids: dict[int, int] = {}
    for trial in sorted(trials, key=lambda t: t.number):
        with target.guard():
            ids[trial._trial_id] = target.rdb.create_new_trial(study, template_trial=_template(trial))
    return ids


def _template(trial: FrozenTrial) -> FrozenTrial:
    """A trial as it is: Optuna stores RUNNING and WAITING ones with what they have so far."""
    distributions: dict[str, BaseDistribution] = dict(trial.distributions)
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=trial.state,
        value=None,
        values=trial.values if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params=trial.params,
        distributions=distributions,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )


def _copy_slots(
    source: Store,
    handle: StudyHandle,
    target: Store,
    study: int,
    ids: Mapping[int, int],
    runs: Mapping[str, str],
    tracking: str | None,
) -> Tokens:
    """Control row and slots in one transaction, slots that were released as such; their tokens in the old place."""
    query = select(*COLUMNS).where(Slot.study_id == handle.study_id).order_by(Slot.number)
    with source.read() as connection:
        rows = [row._asdict() for row in connection.execute(query)]
        age = connection.scalar(select(now() - Control.created_at).where(Control.study_id == handle.study_id))
    row = {"study_id": study, "name": handle.name, "uid": handle.uid, "wanted": "moving"}
    row |= _recorded(handle, runs, tracking)
    slots = [_slot(row, study, ids, runs) for row in rows]
    with target.write() as connection:
        connection.execute(delete(Slot).where(Slot.study_id == study))
        connection.execute(delete(Control).where(Control.study_id == study))
        connection.execute(insert(Control).values(**row, spec=handle.spec, created_at=now()))
        created = now() - float(age or 0.0)
        connection.execute(update(Control).where(Control.study_id == study).values(created_at=created))
        if slots:
            connection.execute(insert(Slot), slots)
    return {row["number"]: row["token"] for row in rows}


def _slot(
    row: Mapping[str, Any], study: int, ids: Mapping[int, int], runs: Mapping[str, str]
) -> dict[str, Any]:
    """A slot under its new ids; leases that ran out end, and tokens grow, so that no zombie can write."""
    values = {**row, **_with_runs(row, runs)}
    ended = values["state"] in ("done", "failed")
    values |= {
        "study_id": study,
        "trial_id": ids.get(values["trial_id"]),
        "retry_of": ids.get(values["retry_of"]),
        "state": values["state"] if ended else "open",
        "owner": values["owner"] if ended else None,
        "expires_at": None,
        "token": values["token"] + 1,
    }
    return values
