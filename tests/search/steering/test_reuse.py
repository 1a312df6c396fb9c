"""What another study found best becomes a trial of a new one, as far as that searches it."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FixedTrial

from search.confirmation.creation import ensure
from search.errors import SpecConflict, StudyNotFound
from search.slots import outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.studies import create_study, open_study, optuna_study
from search.steering.reuse import reuse
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.confirmation import Confirm
from search.study.dimension_tables import parse
from search.study.request import StudyRequest
from search.study.samplers import build_sampler
from search.study.space import Space
from search.study.study_spec import StudySpec


def spec_of(**train: Any) -> StudySpec:
    return catalog.build(catalog.find("hopper"), StudyRequest(profile="laptop", train=train), has_gpu=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        yield store


def best_of(store: Store, spec: StudySpec, trials: int = 2) -> Any:
    """Configuration of the best of a few trials, which is the last."""
    handle = create_study(store, "old", 4, spec.to_json(), [spec.defaults()])
    config = spec.config
    for value in range(trials):
        lease = claim(store, handle.study_id, Claimant("laptop:1", 60.0))
        assert lease is not None
        sampler = build_sampler(spec.sampler, 3, lease.number, spec.space.parameters)
        lease, trial = trial_binding.bind(store, optuna_study(store, handle, sampler), lease)
        config = spec.configs(trial)[0]
        outcomes.report(store, lease, trial, 1_000, float(value))
        outcomes.finish(store, optuna_study(store, handle), lease, "complete", float(value), None)
    return config


def test_the_best_configuration_is_a_trial_of_the_new_study(store: Store) -> None:
    best, spec = best_of(store, spec_of()), spec_of()
    noted, params, left_out = reuse(store, "old", spec)
    assert spec.configs(FixedTrial(params))[0] == dataclasses.replace(best, seed=0)
    assert left_out == []
    assert noted.origin is not None
    assert noted.origin.reuse == "old"
    assert StudySpec.from_json(noted.to_json()) == spec


def test_a_value_that_is_not_searched_here_is_left_out_by_name(store: Store) -> None:
    best, spec = best_of(store, spec_of()), spec_of()
    gamma = parse("gamma", {"low": 0.1, "high": 0.2, "start": 0.15})
    narrow = dataclasses.replace(spec, space=Space((*spec.space.without(["gamma"]).dimensions, gamma)))
    _, params, left_out = reuse(store, "old", narrow)
    assert (params["gamma"], left_out) == (0.15, ["gamma"])
    assert params["actor.learning_rate"] == best.actor.learning_rate


def test_what_the_other_study_fixed_and_this_one_searches_is_taken_too(store: Store) -> None:
    best_of(store, spec_of(gamma=0.98))
    assert reuse(store, "old", spec_of())[1]["gamma"] == 0.98


def test_another_scale_of_the_same_setting_takes_the_value(store: Store) -> None:
    best, spec = best_of(store, spec_of()), spec_of()
    gamma = parse("gamma", {"low": 0.9, "high": 0.999, "one_minus": True})
    scaled = dataclasses.replace(spec, space=Space((*spec.space.without(["gamma"]).dimensions, gamma)))
    params = reuse(store, "old", scaled)[1]
    assert scaled.configs(FixedTrial(params))[0].gamma == pytest.approx(best.gamma)


def test_a_confirmation_cannot_be_reused(store: Store) -> None:
    best_of(store, spec_of())
    assert ensure(store, open_study(store, "old"), Confirm(1, 2), by_hand=True) is not None
    with pytest.raises(
        SpecConflict, match="is the confirmation of 'old' and cannot be reused by itself: name 'old'"
    ):
        reuse(store, "old-confirm", spec_of())


def test_a_study_without_a_complete_trial_cannot_be_reused(store: Store) -> None:
    best_of(store, spec_of(), trials=0)
    with pytest.raises(StudyNotFound, match="has no complete trial yet"):
        reuse(store, "old", spec_of())
    with pytest.raises(StudyNotFound, match="did you mean 'old'"):
        reuse(store, "odl", spec_of())
