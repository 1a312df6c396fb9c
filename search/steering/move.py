"""Moving a study: trials, slots and control row to another storage, its runs to another tracking server."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, insert, select, update

from search.checkpoints.store import readdress
from search.confirmation.creation import carry_wish
from search.confirmation.pair import pair, refuse_confirmation
from search.errors import SpecConflict
from search.history import leftovers
from search.slots import budget, control
from search.slots.claim import read_desired_state
from search.slots.keys import ARRIVING, MODEL, MOVED_TO, MOVING, STUDY_UID
from search.slots.lease import COLUMNS, checkpoints_from_json, checkpoints_to_json
from search.slots.studies import StudyHandle, open_study
from search.steering.commands import refuse_moved
from search.steering.move_guard import ON_ITS_WAY, Tokens, close, departing
from search.storage.dbclock import now
from search.storage.store import Store
from search.storage.tables import AttemptRow, Base, Control, EvaluationRow, Slot
from search.view.trial_history import all_trials

log = logging.getLogger(__name__)

CopyRuns = Callable[[], Mapping[str, str]]
"""Copies a study's MLflow runs and models; old id to new id."""

MODELS = "models:/"


@dataclass(frozen=True)
class Contents:
    """What a study consists of, read at one moment."""

    trials: Sequence[FrozenTrial]
    """By number."""
    slots: Sequence[Mapping[str, Any]]
    """Rows of `omad_slot`, by number."""
    attempts: Sequence[Mapping[str, Any]]
    """Rows of `omad_attempt`."""
    evaluations: Sequence[Mapping[str, Any]]
    """Rows of `omad_evaluation`."""
    age_seconds: float


def move(
    source: Store,
    handle: StudyHandle,
    target: Store,
    copy_runs: CopyRuns = dict,
    tracking: str | None = None,
) -> StudyHandle:
    """The study in its new storage; see `move_all`."""
    return move_all(source, [handle], target, copy_runs, tracking)[0]


def move_all(
    source: Store,
    searches: Sequence[StudyHandle],
    target: Store,
    copy_runs: CopyRuns = dict,
    tracking: str | None = None,
) -> list[StudyHandle]:
    """Studies in their new storage, all at once; the old ones are kept, and name the new one.

    `copy_runs` copies their MLflow runs to the tracking server `tracking`, while no worker trains; old id to new id.
    Can be repeated after an interruption. Raises SpecConflict where a name is taken, or workers hold slots.
    """
    for study in searches:
        refuse_confirmation(study, "moved")
    pairs = [pair(source, study) for study in searches]
    left = [
        study for search, *others in pairs if search.desired_state != "moved" for study in (search, *others)
    ]
    with ExitStack() as leaving:
        for study in left:
            leaving.enter_context(departing(source, study, target.address))
        runs = copy_runs() if left else {}
        copied = {study: _copy(source, study, target, runs, tracking) for study in left}
        for search, *_ in pairs:
            if search in copied:
                carry_wish(source, search, target)
        for study in left:
            with source.guard():
                source.rdb.set_study_user_attr(study.study_id, MOVED_TO, target.address)
        # The old storage first: between the two writes no worker may train, afterwards only in the new one.
        close(source, copied)
    return _all_arrived(source, pairs, target)


def _copy(
    source: Store, handle: StudyHandle, target: Store, runs: Mapping[str, str], tracking: str | None
) -> Tokens:
    """All of a study, which rests; its slots' tokens in the old storage."""
    contents = _read(source, handle)
    study = _make(source, handle, target)
    ids = _write_trials(target, study, contents.trials)
    slots = [_slot(row, study, ids, runs) for row in contents.slots]
    row: dict[str, Any] = {"study_id": study, "name": handle.name, "uid": handle.uid, "spec": handle.spec}
    row |= {"desired_state": "moving", **_tracking_columns(handle, runs, tracking)}
    _write_rows(target, row, contents.age_seconds, {Slot: slots, **_history(contents, study, ids)})
    return {row["number"]: row["token"] for row in contents.slots}


def _all_arrived(source: Store, pairs: Sequence[Sequence[StudyHandle]], target: Store) -> list[StudyHandle]:
    """Open confirmations before their searches: a worker of these would make and train second ones."""
    for _, *confirmations in pairs:
        for confirmation in confirmations:
            if not _has_arrived(target, confirmation):
                _open_copy(source, confirmation, target)
    return [_open_copy(source, search, target) for search, *_ in pairs]


def _has_arrived(target: Store, handle: StudyHandle) -> bool:
    with target.guard():
        names = {s.study_name: s for s in target.rdb.get_all_studies()}
    copy = names.get(handle.name)
    return bool(copy and copy.user_attrs.get(STUDY_UID) == handle.uid and not copy.user_attrs.get(ARRIVING))


def move_runs(
    store: Store, searches: Sequence[StudyHandle], copy_runs: CopyRuns, tracking: str | None = None
) -> None:
    """Record studies to the tracking server of this address, to which `copy_runs` copies their runs.

    Can be repeated after an interruption. Raises SpecConflict where workers hold slots.
    """
    for each in searches:
        if each.desired_state == "moved":
            refuse_moved(store, each)
        refuse_confirmation(each, "moved")
    studies = [each for search in searches for each in pair(store, search)]
    with ExitStack() as leaving:
        where = tracking or "another tracking server"
        before = {study: leaving.enter_context(departing(store, study, where)) for study in studies}
        runs = copy_runs()
        with store.write() as connection:
            for study in studies:
                _readdress(connection, study, runs)
                values = {"desired_state": before[study], **_tracking_columns(study, runs, tracking)}
                control.change(connection, study.study_id, values, ON_ITS_WAY)


def _readdress(connection: Connection, handle: StudyHandle, runs: Mapping[str, str]) -> None:
    """Have the slots of a study name their runs and models where they are now."""
    query = select(*COLUMNS).where(Slot.study_id == handle.study_id)
    for row in connection.execute(query).all():
        here = (Slot.study_id == row.study_id, Slot.number == row.number)
        connection.execute(update(Slot).where(*here).values(_with_runs(row._asdict(), runs)))


def _tracking_columns(handle: StudyHandle, runs: Mapping[str, str], tracking: str | None) -> dict[str, Any]:
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
        "checkpoints": checkpoints_to_json(
            [readdress(ref, runs) for ref in checkpoints_from_json(row["checkpoints"])]
        ),
        "progress": row["progress"] | ({MODEL: MODELS + runs[model]} if model in runs else {}),
    }


def _open_copy(source: Store, handle: StudyHandle, target: Store) -> StudyHandle:
    """Admit workers in the new storage, which is complete now. Raises SpecConflict where it is not."""
    with target.guard():
        names = {s.study_name: s for s in target.rdb.get_all_studies()}
    existing = names.get(handle.name)
    if (
        existing is None
        or existing.user_attrs.get(STUDY_UID) != handle.uid
        or not existing.user_attrs.get(ARRIVING)
    ):
        refuse_moved(source, open_study(source, handle.name))
    elif budget.counts(target, existing._study_id).total:
        if read_desired_state(target, existing._study_id) == "moving":
            budget.set_desired_state(target, existing._study_id, "running", ON_ITS_WAY)
        with target.guard():
            target.rdb.set_study_user_attr(existing._study_id, ARRIVING, False)
    return open_study(target, handle.name)


def _make(source: Store, handle: StudyHandle, target: Store) -> int:
    """An empty study of this name, with all attributes of the old one. Raises SpecConflict."""
    with target.creation_lock(), target.guard():
        names = {s.study_name: s for s in target.rdb.get_all_studies()}
        if existing := names.get(handle.name):
            same = existing.user_attrs.get(STUDY_UID) == handle.uid
            if not (same and existing.user_attrs.get(ARRIVING)):
                raise SpecConflict(f"storage {target.address} has a study {handle.name!r} already")
            log.info("an earlier move of study %s was interrupted; it begins again", handle.name)
            target.rdb.delete_study(existing._study_id)
            _forget(target, existing._study_id)
        new = target.rdb.create_new_study([optuna.study.StudyDirection.MAXIMIZE], handle.name)
        target.rdb.set_study_user_attr(new, ARRIVING, True)
        for key, value in source.rdb.get_study_user_attrs(handle.study_id).items():
            if key not in (ARRIVING, MOVING):  # of the move that brought it to the source, and of this one
                target.rdb.set_study_user_attr(new, key, value)
        for key, value in source.rdb.get_study_system_attrs(handle.study_id).items():
            target.rdb.set_study_system_attr(new, key, value)
        return new


def _forget(target: Store, study_id: int) -> None:
    """Delete the rows of a study that is deleted in Optuna: its trials' ids, which they name, are used again."""
    with target.write() as connection:
        leftovers.forget_studies(connection, [study_id])


def _read(source: Store, handle: StudyHandle) -> Contents:
    query = select(*COLUMNS).where(Slot.study_id == handle.study_id).order_by(Slot.number)
    age = select(now() - Control.created_at).where(Control.study_id == handle.study_id)
    with source.snapshot() as moment, moment.read() as connection:
        slots = [row._asdict() for row in connection.execute(query)]
        return Contents(
            all_trials(moment, handle.study_id),
            slots,
            _rows(connection, AttemptRow, handle.study_id),
            _rows(connection, EvaluationRow, handle.study_id),
            float(connection.scalar(age) or 0.0),
        )


def _rows(connection: Connection, table: type[Base], study_id: int) -> list[dict[str, Any]]:
    columns = {column.key: column for column in table.__table__.columns}
    query = select(*(column.label(key) for key, column in columns.items()))
    return [row._asdict() for row in connection.execute(query.where(columns["study_id"] == study_id))]


def _history(
    contents: Contents, study: int, ids: Mapping[int, int]
) -> dict[type[Base], list[dict[str, Any]]]:
    """What happened to the study's slots and trials, under their new ids."""
    return {
        AttemptRow: [{**row, "study_id": study} for row in contents.attempts],
        EvaluationRow: [
            {**row, "study_id": study, "trial_id": ids[row["trial_id"]]} for row in contents.evaluations
        ],
    }


def _write_trials(target: Store, study: int, trials: Sequence[FrozenTrial]) -> Mapping[int, int]:
    """All trials in their order, so that they keep their numbers; old id to new id."""
    with target.guard():
        return {trial._trial_id: target.rdb.create_new_trial(study, template_trial=trial) for trial in trials}


def _write_rows(
    target: Store,
    control: Mapping[str, Any],
    age_seconds: float,
    rows: Mapping[type[Base], Sequence[Mapping[str, Any]]],
) -> None:
    """The control row and all others in one transaction."""
    with target.write() as connection:
        leftovers.forget_studies(connection, [control["study_id"]])
        named = {row["trial_id"] for table in (Slot, EvaluationRow) for row in rows[table]} - {None}
        leftovers.take_trials(connection, control["study_id"], sorted(named))
        connection.execute(insert(Control).values(**control, created_at=now() - age_seconds))
        for table, table_rows in rows.items():
            if table_rows:
                connection.execute(insert(table), table_rows)


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
