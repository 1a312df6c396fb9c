"""The space: what is sampled reaches the training, under its conditions, and the defaults lie inside."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import BaseTrial, FixedTrial

from omad_core.config import TrainConfig
from omad_core.errors import ConfigError
from omad_core.settings import get, replace
from search.study.dimension_tables import parse, to_table
from search.study.space import Space

ENTROPY = [
    ("entropy.mode", {"choices": ["learned", "fixed"]}),
    ("entropy.target", {"low": 1, "high": 8, "when": {"entropy.mode": "learned"}}),
    ("entropy.alpha", {"low": 0.05, "high": 2.0, "log": True, "when": {"entropy.mode": "learned"}}),
    (
        "entropy.alpha",
        {"low": 1e-3, "high": 0.1, "log": True, "start": 0.01, "when": {"entropy.mode": "fixed"}},
    ),
]


def space(*tables: tuple[str, Any]) -> Space:
    return Space(tuple(parse(path, table) for path, table in tables))


def run_trials(n: int, objective: Callable[[optuna.Trial], float]) -> optuna.Study:
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=n)
    return study


def test_every_sampled_value_reaches_the_training() -> None:
    searched = space(
        *ENTROPY,
        ("actor.denoising_steps", {"low": 2, "high": 16}),
        ("critic.quantiles", {"low": 8, "high": 32, "step": 8}),
        ("actor.learning_rate", {"low": 1e-5, "high": 1e-2, "log": True}),
        ("evaluation.deterministic", {"choices": [True, False]}),
        ("env.agent_obsk", {"choices": ["none", 0, 1]}),
        ("env.args.ctrl_cost_weight", {"low": 0.1, "high": 1.0, "start": 0.5}),
        ("gamma", {"low": 0.9, "high": 0.999}),
    )
    seen: dict[str, set[Any]] = {}

    def objective(trial: optuna.Trial) -> float:
        config = searched.sample(trial, TrainConfig())
        assert trial.params.items() <= {path: get(config, path) for path in searched.paths}.items()
        for path in trial.params:
            seen.setdefault(path, set()).add(get(config, path))
        return 0.0

    run_trials(20, objective)
    assert set(seen) == set(searched.paths)
    assert all(len(values) >= 2 for values in seen.values())


def test_what_is_not_searched_stays_as_it_was() -> None:
    base = TrainConfig(gamma=0.95, num_envs=3)
    config = space(("batch_size", {"low": 32, "high": 64})).sample(FixedTrial({"batch_size": 40}), base)
    assert config == replace(base, {"batch_size": 40})


def test_a_condition_decides_which_range_is_sampled() -> None:
    def objective(trial: optuna.Trial) -> float:
        entropy = space(*ENTROPY).sample(trial, TrainConfig()).entropy
        low, high = (0.05, 2.0) if entropy.mode == "learned" else (1e-3, 0.1)
        assert low <= entropy.alpha <= high
        assert ("entropy.target" in trial.params) == (entropy.mode == "learned")
        return 0.0

    modes = {trial.params["entropy.mode"] for trial in run_trials(20, objective).trials}
    assert modes == {"learned", "fixed"}


def test_a_condition_on_a_setting_that_is_not_searched_reads_its_value() -> None:
    searched = space(*ENTROPY).without(["entropy.mode"])
    fixed = replace(TrainConfig(), {"entropy.mode": "fixed"})
    assert searched.reachable(fixed).paths == ("entropy.alpha",)
    assert searched.defaults(fixed) == {"entropy.alpha": 0.01}
    assert searched.reachable(TrainConfig()).paths == ("entropy.target", "entropy.alpha")


def test_conditions_are_sampled_before_what_depends_on_them() -> None:
    assert space(*reversed(ENTROPY)).paths[0] == "entropy.mode"


def test_a_trial_that_is_attached_again_gets_the_same_configuration() -> None:
    searched, base = space(*ENTROPY, ("gamma", {"low": 0.9, "high": 0.99})), TrainConfig()
    study = optuna.create_study()
    trial = study.ask()
    first = searched.sample(trial, base)
    again = optuna.trial.Trial(study, trial._trial_id)
    assert searched.sample(again, base) == first


def test_a_finished_trial_gives_its_configuration_back() -> None:
    searched, base = space(*ENTROPY), TrainConfig()
    configs: list[TrainConfig] = []

    def objective(trial: BaseTrial) -> float:
        configs.append(searched.sample(trial, base))
        return 0.0

    study = run_trials(5, objective)
    assert [searched.sample(trial, base) for trial in study.trials] == configs


def test_optuna_knows_scale_step_and_choices_of_every_parameter() -> None:
    searched = space(
        ("actor.learning_rate", {"low": 1e-5, "high": 1e-2, "log": True}),
        ("batch_size", {"low": 2, "high": 512, "log": True}),
        ("critic.quantiles", {"low": 8, "high": 32, "step": 8}),
        ("entropy.mode", {"choices": ["learned", "fixed"]}),
    )
    trial = optuna.create_study().ask()
    searched.sample(trial, TrainConfig())
    assert trial.distributions == {
        "actor.learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        "batch_size": IntDistribution(2, 512, log=True),
        "critic.quantiles": IntDistribution(8, 32, step=8),
        "entropy.mode": CategoricalDistribution(("learned", "fixed")),
    }


def test_the_defaults_are_a_point_of_the_space() -> None:
    assert space(*ENTROPY).defaults(TrainConfig()) == {
        "entropy.mode": "learned",
        "entropy.target": 4.0,
        "entropy.alpha": 1.0,
    }


def test_defaults_outside_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"gamma = 0.99 lies outside its search range \(0.5 to 0.9\)"):
        space(("gamma", {"low": 0.5, "high": 0.9})).defaults(TrainConfig())
    with pytest.raises(ConfigError, match=r"critic.quantiles = 25 lies outside .*32 to 64 by 8"):
        space(("critic.quantiles", {"low": 32, "high": 64, "step": 8})).defaults(TrainConfig())


@pytest.mark.parametrize(
    ("path", "table", "start"),
    [
        ("critic.quantiles", {"low": 8, "high": 32, "step": 8}, 24),
        ("critic.quantiles", {"low": 8, "high": 32, "step": 8, "start": 32}, 32),
        ("critic.quantiles", {"low": 8, "high": 64, "power_of_two": True}, 32),
        ("batch_size", {"low": 64, "high": 512, "power_of_two": True}, 256),
    ],
)
def test_a_default_between_two_steps_begins_at_the_nearest(path: str, table: Any, start: int) -> None:
    searched = space((path, table))
    assert searched.settings(searched.defaults(TrainConfig())) == {path: start}


def test_powers_of_two_are_searched_by_exponent() -> None:
    searched = space(("batch_size", {"low": 16, "high": 512, "power_of_two": True}))
    study = run_trials(40, lambda trial: float(searched.sample(trial, TrainConfig()).batch_size))
    values = [searched.sample(trial, TrainConfig()).batch_size for trial in study.trials]
    assert set(values) == {16, 32, 64, 128, 256, 512}
    assert [searched.settings(trial.params)["batch_size"] for trial in study.trials] == values
    assert study.trials[0].distributions == {"log2 batch_size": IntDistribution(4, 9)}


def test_a_discount_is_searched_by_its_distance_from_one() -> None:
    searched = space(("gamma", {"low": 0.9, "high": 0.9999, "one_minus": True}))
    study = run_trials(60, lambda trial: searched.sample(trial, TrainConfig()).gamma)
    values = [searched.sample(trial, TrainConfig()).gamma for trial in study.trials]
    assert [searched.settings(trial.params)["gamma"] for trial in study.trials] == values
    assert all(0.9 <= value <= 0.9999 for value in values)
    for low, high in ((0.9, 0.99), (0.99, 0.999), (0.999, 0.9999)):
        assert 10 <= sum(low <= value < high for value in values) <= 30, "each magnitude alike"
    assert searched.defaults(TrainConfig()) == {"1 - gamma": 1.0 - 0.99}
    assert searched.sample(FixedTrial({"1 - gamma": 1.0 - 0.99}), TrainConfig()).gamma == 0.99


def test_largest_is_what_a_population_has_to_pad_to() -> None:
    searched = space(("actor.denoising_steps", {"low": 2, "high": 12}))
    assert searched.largest("actor.denoising_steps", TrainConfig()) == 12
    assert searched.largest("critic.quantiles", TrainConfig()) == 25


@pytest.mark.parametrize(
    ("path", "table", "complaint"),
    [
        ("gama", {"low": 0.9, "high": 0.99}, "did you mean 'gamma'"),
        ("gamma", {"lo": 0.9, "high": 0.99}, "did you mean 'low'"),
        ("gamma", {"low": 0.99}, "high is missing"),
        ("gamma", {"low": 0.99, "high": 0.9}, "low = 0.99 is not below high = 0.9"),
        ("gamma", {"low": "0.9", "high": 0.99}, "without quotes"),
        ("gamma", {"low": 0.0, "high": 0.9, "log": True}, "log = true needs low above 0"),
        ("gamma", {"low": 0.9, "high": 0.99, "log": 1}, "log = 1 is not true or false"),
        ("gamma", {"low": 0.9, "high": 0.99, "start": 0.5}, "start = 0.5 lies outside"),
        ("gamma", {"low": 0.9, "high": 1.0, "one_minus": True}, "needs high below 1, and high = 1"),
        ("gamma", {"low": 0.9, "high": 0.99, "one_minus": True, "log": True}, "exclude each other"),
        ("gamma", {"low": 0.9, "high": 0.99, "one_minus": "yes"}, "is not true or false"),
        ("gamma", {"low": 0.9, "high": 0.99, "one-minus": True}, "did you mean 'one_minus'"),
        ("batch_size", {"low": 0.9, "high": 0.99, "one_minus": True}, "is no real number"),
        ("gamma", {"low": 1, "high": 2, "power_of_two": True}, "is no whole number"),
        ("batch_size", {"low": 48, "high": 256, "power_of_two": True}, "48 is no power of two"),
        ("batch_size", {"low": 32, "high": 256, "power_of_two": True, "step": 2}, "exclude each other"),
        (
            "batch_size",
            {"low": 32, "high": 256, "power_of_two": True, "start": 48},
            "start = 48 lies outside",
        ),
        ("gamma", 0.9, "is no dimension"),
        ("gamma", {"choices": [0.9]}, "two values or more"),
        ("gamma", {"choices": [0.9, 0.9]}, "names a value twice"),
        ("critic.quantiles", {"low": 8.5, "high": 32}, "not a whole number"),
        ("critic.quantiles", {"low": 8, "high": 31, "step": 8}, "step = 8 does not lead from low = 8"),
        ("critic.quantiles", {"low": 8, "high": 32, "step": 8, "log": True}, "exclude each other"),
        ("entropy.mode", {"low": 1, "high": 2}, "has no range"),
        ("entropy.mode", {"choices": ["learned", "fix"]}, "'fix' is not one of learned, fixed"),
        (
            "gamma",
            {"low": 0.9, "high": 0.99, "when": {"entropy.mod": "fixed"}},
            "did you mean 'entropy.mode'",
        ),
        ("gamma", {"low": 0.9, "high": 0.99, "when": {"entropy.mode": "fix"}}, "is not one of"),
        ("gamma", {"low": 0.9, "high": 0.99, "when": {"gamma": 0.9}}, "names itself"),
        ("gamma", {"low": 0.9, "high": 0.99, "when": "fixed"}, "is no table"),
        ("seed", {"low": 0, "high": 9}, "cannot be part of a search space"),
    ],
)
def test_a_wrong_dimension_is_refused_with_a_reason(path: str, table: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse(path, table)


def test_ranges_beyond_the_settings_bounds_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"gamma = 1.5 is out of range"):
        space(("gamma", {"low": 0.9, "high": 1.5})).check(TrainConfig())


def test_ranges_that_contradict_other_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"critic.drop_top = 30 leaves none of critic.quantiles = 25"):
        space(("critic.drop_top", {"low": 0, "high": 30})).check(TrainConfig())


def test_two_dimensions_of_one_setting_have_to_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="gamma has two dimensions"):
        space(("gamma", {"low": 0.9, "high": 0.99}), ("gamma", {"low": 0.5, "high": 0.9}))


def test_conditions_that_wait_for_one_another_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"entropy.mode, gamma wait for one another"):
        space(
            ("gamma", {"choices": [0.9, 0.99], "when": {"entropy.mode": "fixed"}}),
            ("entropy.mode", {"choices": ["learned", "fixed"], "when": {"gamma": 0.9}}),
        )


@pytest.mark.parametrize(
    ("path", "table"),
    [
        *ENTROPY,
        ("critic.quantiles", {"low": 8, "high": 32, "step": 8}),
        ("batch_size", {"low": 8, "high": 32, "power_of_two": True}),
        ("gamma", {"low": 0.9, "high": 0.99, "one_minus": True, "start": 0.95}),
    ],
)
def test_a_dimension_written_and_read_again_is_the_same(path: str, table: Any) -> None:
    dimension = parse(path, table)
    assert parse(path, to_table(dimension)) == dimension


def test_the_diffusion_time_is_searched_where_a_chain_has_no_step_size_of_its_own() -> None:
    when = {"actor.kind": "diffusion", "actor.dt": "none"}
    searched = space(("actor.diffusion_time", {"low": 0.4, "high": 3.0, "log": True, "when": when}))
    assert parse("actor.diffusion_time", to_table(searched.dimensions[0])) == searched.dimensions[0]
    assert searched.reachable(TrainConfig()).defaults(TrainConfig()) == {"actor.diffusion_time": 1.6}
    for values in ({"actor.dt": 0.1}, {"actor.kind": "gaussian"}):
        assert searched.reachable(replace(TrainConfig(), values)).dimensions == ()


def test_a_searched_step_size_begins_where_the_diffusion_time_puts_it() -> None:
    when = {"actor.dt": "none"}
    searched = space(
        ("actor.dt", {"low": 0.01, "high": 0.5, "log": True}),
        ("actor.diffusion_time", {"low": 0.4, "high": 3.0, "when": when}),
    )
    base = replace(TrainConfig(), {"actor.denoising_steps": 16})
    assert searched.reachable(base).paths == ("actor.dt",)
    assert searched.reachable(base).defaults(base) == {"actor.dt": 0.1}
    searched.reachable(base).check(base)
