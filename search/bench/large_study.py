"""A study of many ended trials, written in bulk, to measure what grows with a study."""

import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.samplers import RandomSampler
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Table, delete, func, insert, select, update

from search.slots.keys import SLOT
from search.slots.studies import StudyHandle, optuna_study
from search.storage.store import Store, open_storage
from search.storage.tables import Slot
from search.study.components import Component
from search.study.samplers import build_sampler
from search.study.study_spec import StudySpec
from search.view import status

EVALUATIONS = 10
DRAWN = 500
BATCH = 2_000
OF_TRIALS: tuple[Any, ...] = (
    models.TrialParamModel,
    models.TrialValueModel,
    models.TrialIntermediateValueModel,
    models.TrialUserAttributeModel,
    models.TrialSystemAttributeModel,
)
FINITE_VALUE = models.TrialValueModel.TrialValueType.FINITE
FINITE = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE


@dataclass(frozen=True)
class StudyGrowth:
    """How long things take with a study of many trials."""

    trials: int
    fill_seconds: float
    status_seconds: float
    status_cpu_seconds: float
    """Of them, this process's own work."""
    ask_seconds: Mapping[str, tuple[float, float]]
    """By sampler, a worker's first proposal, for which it reads all trials, and its second."""


def grow(url: str, handle: StudyHandle, trials: int, samplers: tuple[str, ...]) -> StudyGrowth:
    """Fill an empty study with ended trials, and time its status and a proposal for the next one."""
    began = time.monotonic()
    with open_storage(url) as store:
        fill(store, handle, trials)
    filled = time.monotonic()
    worked = time.process_time()
    with open_storage(url) as store, status.gc_paused():
        status.read(store, handle)
    shown, work = time.monotonic() - filled, time.process_time() - worked
    asked = {name: _ask(url, handle, name) for name in samplers}
    return StudyGrowth(trials, filled - began, shown, work, asked)


def _ask(url: str, handle: StudyHandle, name: str) -> tuple[float, float]:
    spec = StudySpec.from_json(handle.spec)
    took = []
    with open_storage(url) as store:
        for slot in range(2):
            began = time.monotonic()
            sampler = build_sampler(Component(name, {}), spec.seed, slot, spec.space.parameters)
            study = optuna_study(store, handle, sampler)
            with store.guard():
                trial = study.ask()
                spec.configs(trial)
                took.append(time.monotonic() - began)
                study.tell(trial, state=TrialState.FAIL)
    return took[0], took[1]


def fill(store: Store, handle: StudyHandle, trials: int) -> None:
    """Give the first `trials` slots a complete trial each, with parameters and a curve drawn at random."""
    spec, rng = StudySpec.from_json(handle.spec), random.Random(0)
    drawn = _drawn(spec)
    with store.write() as connection:
        first = int(connection.scalar(select(func.max(models.TrialModel.trial_id))) or 0) + 1
        for start in range(0, trials, BATCH):
            numbers = range(start, min(start + BATCH, trials))
            rows: dict[Any, list[dict[str, Any]]] = {}
            for number in numbers:
                for model, row in _trial(spec, handle, first + number, number, drawn[number % DRAWN], rng):
                    rows.setdefault(model, []).append(row)
            for model, batch in rows.items():
                connection.execute(insert(model.__table__), batch)
            _end_slots(connection, handle, first, numbers)
        _follow(connection, store)


def clear(store: Store, handle: StudyHandle) -> None:
    """Delete a study's trials; Optuna would load each before."""
    trials: Table = models.TrialModel.__table__
    mine = select(trials.c.trial_id).where(trials.c.study_id == handle.study_id)
    with store.write() as connection:
        for model in OF_TRIALS:
            table: Table = model.__table__
            connection.execute(delete(table).where(table.c.trial_id.in_(mine)))
        connection.execute(delete(trials).where(trials.c.study_id == handle.study_id))


def _trial(
    spec: StudySpec, handle: StudyHandle, trial_id: int, number: int, drawn: FrozenTrial, rng: random.Random
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """All rows of one trial: of which table, and what."""
    now = datetime.now(UTC).replace(tzinfo=None)
    trial = {"trial_id": trial_id}
    times = {"datetime_start": now, "datetime_complete": now}
    yield (
        models.TrialModel,
        {**trial, **times, "number": number, "study_id": handle.study_id, "state": TrialState.COMPLETE},
    )
    yield models.TrialValueModel, {**trial, "objective": 0, "value": rng.random(), "value_type": FINITE_VALUE}
    yield models.TrialUserAttributeModel, {**trial, "key": SLOT, "value_json": json.dumps(number)}
    for name, distribution in drawn.distributions.items():
        value = distribution.to_internal_repr(drawn.params[name])
        text = distribution_to_json(distribution)
        yield (
            models.TrialParamModel,
            {**trial, "param_name": name, "param_value": value, "distribution_json": text},
        )
    every = spec.config.env_steps // EVALUATIONS
    for count in range(1, EVALUATIONS + 1):
        evaluation = {"intermediate_value": rng.random(), "intermediate_value_type": FINITE}
        yield models.TrialIntermediateValueModel, {**trial, **evaluation, "step": count * every}


def _drawn(spec: StudySpec) -> list[FrozenTrial]:
    """Trials with parameters drawn at random, to be used again and again."""
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    for _ in range(DRAWN):
        spec.configs(study.ask())
    return study.get_trials(deepcopy=False)


def _end_slots(connection: Connection, handle: StudyHandle, first: int, numbers: range) -> None:
    table: Table = Slot.__table__  # type: ignore[assignment]
    here = (Slot.study_id == handle.study_id, Slot.number >= numbers.start, Slot.number < numbers.stop)
    ended = {"state": "done", "outcome": "complete", "value": 1.0, "published": True}
    connection.execute(update(table).where(*here).values(**ended, trial_id=first + Slot.number))


def _follow(connection: Connection, store: Store) -> None:
    """PostgreSQL counts ids by itself: continue its sequences after these rows."""
    if store.engine.dialect.name == "postgresql":
        connection.exec_driver_sql(
            "SELECT setval(pg_get_serial_sequence('trials', 'trial_id'), (SELECT max(trial_id) FROM trials))"
        )
