"""All trials of a study in a few plain queries; Optuna makes an object of every row, which takes longer."""

import json
import math
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Select, Table, select

from search.storage.reader import Reader

TRIALS: Table = models.TrialModel.__table__
PARAMS: Table = models.TrialParamModel.__table__
VALUES: Table = models.TrialValueModel.__table__
REPORTS: Table = models.TrialIntermediateValueModel.__table__
USER: Table = models.TrialUserAttributeModel.__table__
SYSTEM: Table = models.TrialSystemAttributeModel.__table__
UNUSUAL = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}
"""What Optuna's column of types says of numbers that databases do not store."""


class TrialHead(NamedTuple):
    """Number, state and end of a trial; of thousands, reading more takes a while."""

    number: int
    state: TrialState
    ended: datetime | None
    """In UTC, without a time zone."""


def heads(store: Reader, study_id: int) -> dict[int, TrialHead]:
    """Every trial by its id, in the order of their numbers. Raises StorageUnavailable."""
    columns = TRIALS.c.trial_id, TRIALS.c.number, TRIALS.c.state, TRIALS.c.datetime_complete
    query = select(*columns).where(TRIALS.c.study_id == study_id).order_by(TRIALS.c.number)
    with store.read() as connection:
        return {trial_id: TrialHead(*head) for trial_id, *head in connection.execute(query)}


def times(store: Reader, study_id: int) -> dict[int, tuple[float, float | None]]:
    """When each begun trial began and ended, by its number; seconds since 1970. Raises StorageUnavailable."""
    columns = TRIALS.c.number, TRIALS.c.datetime_start, TRIALS.c.datetime_complete
    query = select(*columns).where(TRIALS.c.study_id == study_id, TRIALS.c.datetime_start.is_not(None))
    with store.read() as connection:
        found: Sequence[Any] = connection.execute(query).all()
    return {number: (_seconds(began), _seconds(ended) if ended else None) for number, began, ended in found}


def all_trials(store: Reader, study_id: int, only: Collection[int] | None = None) -> list[FrozenTrial]:
    """Every trial, or those of these ids, as Optuna has it, by number. Raises StorageUnavailable."""
    with store.read() as connection:
        query = select(TRIALS).where(TRIALS.c.study_id == study_id).order_by(TRIALS.c.number)
        trials = {row.trial_id: _bare(row) for row in connection.execute(_among(query, TRIALS, only))}
        of = partial(_of, connection, study_id, only)
        for number, name, value, text in of(PARAMS, "param_name", "param_value", "distribution_json"):
            distribution = _distribution(text)
            trials[number].params[name] = distribution.to_external_repr(value)
            trials[number].distributions[name] = distribution
        for number, value, kind in of(VALUES, "value", "value_type"):
            trials[number].values = [*(trials[number].values or []), _number(value, kind)]
        reports = ("step", "intermediate_value", "intermediate_value_type")
        for number, step, value, kind in of(REPORTS, *reports):
            trials[number].intermediate_values[step] = _number(value, kind)
        for number, key, text in of(USER, "key", "value_json"):
            trials[number].user_attrs[key] = json.loads(text)
        for number, key, text in of(SYSTEM, "key", "value_json"):
            trials[number].system_attrs[key] = json.loads(text)
    return list(trials.values())


def find_marked(store: Reader, study_id: int, key: str) -> set[int]:
    """Ids of the trials that have a user attribute of this name."""
    query = select(TRIALS.c.trial_id).join(USER, USER.c.trial_id == TRIALS.c.trial_id)
    with store.read() as connection:
        return set(connection.scalars(query.where(TRIALS.c.study_id == study_id, USER.c.key == key)))


def _of(
    connection: Connection, study_id: int, only: Collection[int] | None, table: Table, *columns: str
) -> Sequence[Any]:
    """A trial's id and these columns, of all rows of a table that are of these trials, as they came."""
    query = (
        select(table.c.trial_id, *(table.c[name] for name in columns))
        .join(TRIALS, TRIALS.c.trial_id == table.c.trial_id)
        .where(TRIALS.c.study_id == study_id)
        .order_by(*table.primary_key)
    )
    return connection.execute(_among(query, table, only)).all()


def _among(query: Select[Any], table: Table, only: Collection[int] | None) -> Select[Any]:
    return query if only is None else query.where(table.c.trial_id.in_(only))


def _bare(row: Any) -> FrozenTrial:
    return FrozenTrial(
        number=row.number,
        trial_id=row.trial_id,
        state=row.state,
        value=None,
        values=None,
        datetime_start=_local(row.datetime_start),
        datetime_complete=_local(row.datetime_complete),
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


@cache
def _distribution(text: str) -> BaseDistribution:
    """A study has a handful of them, and thousands of rows that name one."""
    return json_to_distribution(text)


def _number(value: float | None, kind: Any) -> float:
    return UNUSUAL[kind.name] if value is None else value


def _seconds(time: datetime) -> float:
    """Optuna stores UTC without saying so."""
    return time.replace(tzinfo=UTC).timestamp()


def _local(time: datetime | None) -> datetime | None:
    """Optuna stores UTC and shows this machine's time."""
    return None if time is None else time.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
