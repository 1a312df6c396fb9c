"""Samplers: built fresh for each slot, they repeat nothing by accident and everything on purpose."""

from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution

from omad_core.config import TrainConfig
from omad_core.errors import ConfigError
from search.study.components import Component, complete
from search.study.dimension_tables import parse
from search.study.samplers import SAMPLERS, build_sampler
from search.study.space import Space

SPACE = Space(
    (
        parse("gamma", {"low": 0.9, "high": 0.999}),
        parse("actor.learning_rate", {"low": 1e-5, "high": 1e-2, "log": True}),
        parse("critic.quantiles", {"low": 8, "high": 32, "step": 8}),
        parse("batch_size", {"low": 2, "high": 512, "log": True}),
        parse("entropy.mode", {"choices": ["learned", "fixed"]}),
        parse("entropy.target", {"low": 1, "high": 8, "when": {"entropy.mode": "learned"}}),
        parse("entropy.alpha", {"low": 0.05, "high": 2.0, "log": True, "when": {"entropy.mode": "learned"}}),
        parse("entropy.alpha", {"low": 1e-3, "high": 0.1, "log": True, "when": {"entropy.mode": "fixed"}}),
    )
)


def history(name: str, slots: range, seed: int = 7, told: int = 10**9) -> list[dict[str, Any]]:
    """Parameters of slots, each from a sampler of its own; the first `told` results are told."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for slot in slots:
        study.sampler = build_sampler(Component(name, {}), seed, slot, SPACE.paths)
        trial = study.ask()
        config = SPACE.sample(trial, TrainConfig())
        if slot < told:
            study.tell(trial, -abs(config.gamma - 0.95) - config.actor.learning_rate)
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_history_leads_to_the_same_proposals(name: str) -> None:
    assert history(name, range(13)) == history(name, range(13))


@pytest.mark.parametrize("name", SAMPLERS)
def test_no_slot_repeats_another_even_before_any_result(name: str) -> None:
    proposals = [str(params) for params in history(name, range(20), told=0)]
    assert len(set(proposals)) == 20


@pytest.mark.parametrize("name", SAMPLERS)
def test_another_study_seed_gives_other_proposals(name: str) -> None:
    assert history(name, range(3), seed=1) != history(name, range(3), seed=2)


def test_tpe_finds_more_good_points_than_chance() -> None:
    def share_near_optimum(name: str) -> float:
        late = history(name, range(60))[30:]
        return float(np.mean([abs(params["gamma"] - 0.95) < 0.01 for params in late]))

    assert share_near_optimum("tpe") > 2 * share_near_optimum("random")


def test_qmc_covers_every_parameter_evenly() -> None:
    proposals = history("qmc", range(64))
    eighths = [int((params["gamma"] - 0.9) / 0.099 * 8) for params in proposals]
    assert [eighths.count(number) for number in range(8)] == [8] * 8
    assert {params["critic.quantiles"] for params in proposals} == {8, 16, 24, 32}
    assert sum(params["entropy.mode"] == "fixed" for params in proposals) == 32


def test_qmc_stays_inside_every_distribution() -> None:
    study = optuna.create_study()
    for slot in range(50):
        study.sampler = build_sampler(Component("qmc", {}), 0, slot, SPACE.paths)
        trial = study.ask()
        SPACE.sample(trial, TrainConfig())
        distributions: dict[str, BaseDistribution] = trial.distributions
        assert all(d._contains(d.to_internal_repr(trial.params[name])) for name, d in distributions.items())


def test_options_are_completed_with_their_defaults() -> None:
    completed = complete("sampler", SAMPLERS, Component("tpe", {"startup_trials": 3}))
    assert completed.options == {"startup_trials": 3, "candidates": 24}


@pytest.mark.parametrize(
    ("component", "complaint"),
    [
        (Component("tpee", {}), "unknown sampler 'tpee'; did you mean 'tpe'"),
        (Component("tpe", {"startup_trial": 3}), "sampler tpe: .*did you mean 'startup_trials'"),
        (Component("tpe", {"startup_trials": 0}), "startup_trials = 0 is out of range"),
        (Component("random", {"startup_trials": 3}), "sampler random: unknown setting"),
    ],
)
def test_wrong_names_and_options_are_refused(component: Component, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        complete("sampler", SAMPLERS, component)
