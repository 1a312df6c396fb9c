"""Evaluations: a row for each evaluation of each training, with its returns and what it took to get there."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import Connection, insert, select

from search.history import leftovers
from search.storage.dbclock import now
from search.storage.reader import Reader
from search.storage.tables import EvaluationRow

KEY = EvaluationRow.trial_id, EvaluationRow.seed, EvaluationRow.step


@dataclass(frozen=True)
class CurvePoint:
    """One evaluation of one training."""

    trial_id: int
    """Optuna's id of the trial."""
    seed: int
    """The training's."""
    step: int
    """Environment steps trained before it."""
    returns: Sequence[float]
    """Undiscounted team return of each episode."""
    seconds: float | None
    """Processor seconds of the training up to here, on a GPU seconds of its time; None where it was not measured."""


def write(connection: Connection, study_id: int, evaluations: Collection[CurvePoint]) -> None:
    """Store what is not there yet: a training that was resumed measures some a second time, and the same."""
    known = _stored_keys(connection, study_id, {point.trial_id for point in evaluations})
    new = [point for point in evaluations if (point.trial_id, point.seed, point.step) not in known]
    if new:
        rows = [{"study_id": study_id, **asdict(each), "returns": list(each.returns)} for each in new]
        connection.execute(insert(EvaluationRow).values(measured_at=now()), rows)


def _stored_keys(connection: Connection, study_id: int, trials: Collection[int]) -> set[tuple[int, int, int]]:
    query = select(EvaluationRow.study_id, *KEY).where(EvaluationRow.trial_id.in_(trials))
    rows = connection.execute(query).all()
    if any(row.study_id != study_id for row in rows):
        leftovers.take_trials(connection, study_id, sorted(trials))
    return {(row.trial_id, row.seed, row.step) for row in rows if row.study_id == study_id}


def read(store: Reader, study_id: int) -> Sequence[CurvePoint]:
    """All evaluations of a study by trial, seed and step; none of what was done before there were such rows."""
    names = [field.name for field in fields(CurvePoint)]
    query = select(*(EvaluationRow.__table__.c[name] for name in names)).where(
        EvaluationRow.study_id == study_id
    )
    with store.read() as connection:
        if not connection.dialect.has_table(connection, EvaluationRow.__tablename__):
            return []
        rows: Sequence[Any] = connection.execute(query.order_by(*KEY)).all()
    return [CurvePoint(*row) for row in rows]
