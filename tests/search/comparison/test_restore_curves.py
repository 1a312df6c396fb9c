"""A comparison whose storage is lost goes on from the lines of `omad-search curves`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from restore_curves import restore

from search.comparison.members import members
from search.confirmation.creation import ensure
from search.confirmation.pair import pair
from search.history.evaluations import CurvePoint
from search.reports.curves import curves
from search.slots import budget, lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.studies import StudyHandle, create_study, optuna_study
from search.storage.store import Store, open_storage
from search.study.samplers import build_sampler
from search.study.study_spec import StudySpec


def train(store: Store, handle: StudyHandle, value: float) -> None:
    """A trial as a worker ends it: proposed by the study's sampler, with two evaluations."""
    spec = StudySpec.from_json(handle.spec)
    lease = claim(store, handle.study_id, Claimant("worker", 60.0))
    assert lease is not None
    sampler = build_sampler(spec.sampler, spec.seed, lease.number, spec.space.parameters)
    study = optuna_study(store, handle, sampler)
    lease, trial = trial_binding.bind(store, study, lease)
    (config,) = spec.configs(trial)
    points = [
        CurvePoint(trial._trial_id, config.seed, step, [value - 1, value], step / 9) for step in (30, 60)
    ]
    lease_writes.record_evaluations(store, lease, points)
    for each in points:
        outcomes.report(store, lease, trial, each.step, value - 0.5)
    lease_writes.publish(store, outcomes.finish(store, study, lease, "complete", value))


def copies(store: Store, studies: list[StudyHandle]) -> list[StudyHandle]:
    """The same studies in another storage, untouched."""
    specs = [StudySpec.from_json(each.spec) for each in studies]
    return [create_study(store, own.name, own.trials, own.to_json(), [own.defaults()]) for own in specs]


def test_what_is_put_back_is_what_was_lost_and_the_rest_is_trained(
    tmp_path: Path, begun: Callable[..., Any]
) -> None:
    with (
        open_storage(f"sqlite:///{tmp_path}/lost.db", create=True) as lost,
        open_storage(f"sqlite:///{tmp_path}/new.db", create=True) as new,
    ):
        name, studies = begun(lost, trials=3)
        for value in (1.0, 3.0, 2.0):
            train(lost, studies[0], value)
        confirmation = ensure(lost, studies[0])
        assert confirmation is not None
        train(lost, confirmation, 1.5)
        train(lost, studies[1], 5.0)
        before = [line for each in studies for line in curves(lost, each)]
        copies(new, studies)
        assert restore(new, name, before) == 5
        assert [line for each in members(new, name) for line in curves(new, each)] == before
        assert [budget.counts(new, each.study_id).open for s in members(new, name) for each in pair(new, s)] == [
            0, 3, 2,
        ]  # fmt: skip


def test_lines_of_another_study_are_refused(tmp_path: Path, begun: Callable[..., Any]) -> None:
    with (
        open_storage(f"sqlite:///{tmp_path}/lost.db", create=True) as lost,
        open_storage(f"sqlite:///{tmp_path}/new.db", create=True) as new,
    ):
        name, studies = begun(lost, trials=2)
        train(lost, studies[0], 1.0)
        train(lost, studies[0], 1.0)
        lines = list(curves(lost, studies[0]))
        spec = StudySpec.from_json(studies[0].spec)
        other = replace(spec, seed=spec.seed + 1)
        create_study(new, other.name, other.trials, other.to_json(), [other.defaults()])
        with pytest.raises(ValueError, match=r"trial 0 of .* trains seed 1000"):
            restore(new, name, lines)
        changed = {**lines[1], "parameters": {**lines[1]["parameters"], "gamma": 0.5}}
    with open_storage(f"sqlite:///{tmp_path}/newer.db", create=True) as newer:
        copies(newer, studies)
        with pytest.raises(ValueError, match=r"gamma is .* here, and 0\.5 in the curves"):
            restore(newer, name, [lines[0], changed])
