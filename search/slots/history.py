"""History: all trials of a study in a few plain queries; Optuna makes an object of every row, which takes longer."""

import json
import math
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, Table, select

from search.storage.store import Store

TRIALS: Table = models.TrialModel.__table__
PARAMS: Table = models.TrialParamModel.__table__
VALUES: Table = models.TrialValueModel.__table__
REPORTS: Table = models.TrialIntermediateValueModel.__table__
USER: Table = models.TrialUserAttributeModel.__table__
SYSTEM: Table = models.TrialSystemAttributeModel.__table__
UNUSUAL = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}
"""What Optuna's column of types says of numbers that databases do not store."""


def all_trials(store: Store, study_id: int, whole: Collection[int] | None = None) -> list[FrozenTrial]:
    """Every trial as Optuna has it, by number; `whole`: ids of the only ones with parameters, reports and value.

    Raises StorageUnavailable.
    """
    with store.read() as connection:
        query = select(TRIALS).where(TRIALS.c.study_id == study_id).order_by(TRIALS.c.number)
        trials = {row.trial_id: _bare(row) for row in connection.execute(query)}
        of = partial(_of, connection, study_id)
        some = partial(of, whole=whole)
        for number, name, value, text in some(PARAMS, "param_name", "param_value", "distribution_json"):
            distribution = _distribution(text)
            trials[number].params[name] = distribution.to_external_repr(value)
            trials[number].distributions[name] = distribution
        for number, value, kind in some(VALUES, "value", "value_type"):
            trials[number].values = [*(trials[number].values or []), _number(value, kind)]
        reports = ("step", "intermediate_value", "intermediate_value_type")
        for number, step, value, kind in some(REPORTS, *reports):
            trials[number].intermediate_values[step] = _number(value, kind)
        for number, key, text in of(USER, "key", "value_json"):
            trials[number].user_attrs[key] = json.loads(text)
        for number, key, text in of(SYSTEM, "key", "value_json"):
            trials[number].system_attrs[key] = json.loads(text)
    return list(trials.values())


def _of(
    connection: Connection, study_id: int, table: Table, *columns: str, whole: Collection[int] | None = None
) -> Sequence[Any]:
    """A trial's id and these columns, of all rows of a table that are of this study's trials, as they came."""
    query = (
        select(table.c.trial_id, *(table.c[name] for name in columns))
        .join(TRIALS, TRIALS.c.trial_id == table.c.trial_id)
        .where(TRIALS.c.study_id == study_id)
        .order_by(*table.primary_key)
    )
    if whole is not None:
        query = query.where(table.c.trial_id.in_(whole))
    return connection.execute(query).all()


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


def _local(time: datetime | None) -> datetime | None:
    """Optuna stores UTC and shows this machine's time."""
    return None if time is None else time.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
