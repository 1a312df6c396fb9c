"""Pruners: what lags is ended, but never early, and never without others to compare with."""

import optuna
import pytest

from omad_core.config import EvaluationConfig, TrainConfig
from omad_core.errors import ConfigError
from search.study.components import Component, complete
from search.study.pruners import PRUNERS, build_pruner

TRAIN = TrainConfig(env_steps=10_000, evaluation=EvaluationConfig(every_steps=1_000))


def pruned_at(name: str, curves: list[list[float]], **options: float) -> list[int | None]:
    """The step at which each trial is pruned (None: trained to its end), one after the other."""
    study = optuna.create_study(direction="maximize", pruner=build_pruner(Component(name, options), TRAIN))
    return [_train(study, curve) for curve in curves]


def _train(study: optuna.Study, curve: list[float]) -> int | None:
    trial = study.ask()
    for number, value in enumerate(curve, start=1):
        trial.report(value, number * 1_000)
        if trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return number * 1_000
    study.tell(trial, curve[-1])
    return None


GOOD = [[float(10 * step + offset) for step in range(10)] for offset in range(6)]
BAD = [[0.0] * 10]


def test_the_median_pruner_waits_for_half_of_the_training() -> None:
    assert pruned_at("median", GOOD + BAD)[-1] == 5_000


def test_the_warmup_follows_the_length_of_the_training() -> None:
    assert pruned_at("median", GOOD + BAD, warmup_fraction=0.8)[-1] == 8_000


def test_nothing_is_pruned_before_enough_trials_completed() -> None:
    assert pruned_at("median", GOOD[:4] + BAD, warmup_fraction=0.0) == [None] * 5
    assert pruned_at("median", GOOD[:4] + BAD, warmup_fraction=0.0, startup_trials=4)[-1] is not None


def test_without_a_pruner_every_trial_is_trained_to_its_end() -> None:
    assert pruned_at("none", GOOD + BAD) == [None] * 7


def test_a_patient_pruner_ends_only_what_declines() -> None:
    improving, declining = [[float(step) - 100 for step in range(10)]], [[-float(step) for step in range(10)]]
    assert pruned_at("median", GOOD + improving)[-1] is not None
    assert pruned_at("patient", GOOD + improving)[-1] is None
    assert pruned_at("patient", GOOD + declining)[-1] is not None


def test_a_larger_percentile_keeps_more() -> None:
    middling = [[10 * step + 1.5 for step in range(10)]]
    assert pruned_at("percentile", GOOD + middling, percentile=10.0)[-1] is not None
    assert pruned_at("percentile", GOOD + middling, percentile=90.0)[-1] is None


@pytest.mark.parametrize("name", ["halving", "hyperband"])
def test_rungs_begin_after_the_first_evaluations(name: str) -> None:
    steps = [step for step in pruned_at(name, GOOD + BAD * 10) if step is not None]
    assert steps
    assert min(steps) >= 3_000


@pytest.mark.parametrize(
    ("component", "complaint"),
    [
        (Component("medium", {}), "unknown pruner 'medium'; did you mean 'median'"),
        (Component("median", {"warmup": 0.5}), "pruner median: .*did you mean 'warmup_fraction'"),
        (Component("median", {"warmup_fraction": 50}), "warmup_fraction = 50.* is out of range"),
    ],
)
def test_wrong_names_and_options_are_refused(component: Component, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        complete("pruner", PRUNERS, component)
