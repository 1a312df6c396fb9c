"""The shipped study files: one for each task, every profile usable, tuning what matters."""

from typing import Any

import pytest
from optuna.trial import FixedTrial

from omad_core import settings
from omad_core.algorithms import ALGORITHMS, OMAD
from omad_core.envs.catalog import TASKS
from search.study import catalog
from search.study.dimensions import Dimension
from search.study.request import StudyRequest
from search.study.study_spec import StudySpec

PROFILES = ("laptop", "gpu", "paper", "smoke")


def build(task: str, profile: str, algorithm: str = OMAD) -> StudySpec:
    requested = StudyRequest(profile=profile, train={"algorithm": algorithm})
    return catalog.build(catalog.find(task), requested, has_gpu=False)


def test_every_task_has_a_study_and_every_study_a_task() -> None:
    assert set(catalog.list_shipped()) == set(TASKS)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_profile_of_every_study_can_be_used(task: str) -> None:
    study = catalog.find(task)
    catalog.check(study)
    assert set(study.profiles) == set(PROFILES)
    for profile in PROFILES:
        for algorithm in ALGORITHMS:
            spec = build(task, profile, algorithm)
            assert (spec.task, spec.config.algorithm) == (task, algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("task", sorted(TASKS))
def test_trial_0_is_the_untuned_training(task: str, profile: str, algorithm: str) -> None:
    spec = build(task, profile, algorithm)
    (first, *_) = spec.configs(FixedTrial(spec.defaults()))
    assert settings.replace(first, {"seed": spec.config.seed}) == spec.config


@pytest.mark.parametrize("profile", ["gpu", "paper"])
def test_beyond_a_laptop_hasac_has_critics_of_its_own_width(profile: str) -> None:
    widths = {name: build("hopper", profile, name).config.critic.hidden_width for name in ALGORITHMS}
    assert widths.pop("hasac") == 256
    assert len(set(widths.values())) == 1
    assert widths["omad"] > 256


@pytest.mark.parametrize("profile", ["laptop", "gpu"])
def test_a_search_tunes_what_matters_most(profile: str) -> None:
    assert {
        "entropy.mode",
        "entropy.target",
        "entropy.alpha",
        "actor.denoising_steps",
        "actor.diffusion_time",
        "critic.quantiles",
        "actor.learning_rate",
        "critic.learning_rate",
        "gamma",
    } <= set(build("hopper", profile).space.paths)


def test_the_laptop_profile_learns_within_a_quarter_of_an_hour() -> None:
    spec = build("hopper", "laptop")
    assert 8 <= spec.trials <= 16
    assert 4_000 <= spec.config.env_steps <= 8_000
    assert spec.config.random_steps <= 1_500
    assert spec.config.actor.hidden_width <= 64
    assert spec.config.critic.hidden_width <= 128
    assert spec.space.largest("actor.denoising_steps", spec.config) == 8
    assert spec.space.largest("critic.quantiles", spec.config) == 32


@pytest.mark.parametrize("task", ["halfcheetah_2x3", "halfcheetah_6x1"])
def test_on_a_laptop_omad_runs_with_less_entropy_in_halfcheetah_than_elsewhere(task: str) -> None:
    assert build(task, "laptop").config.entropy.target == 4.0
    assert build(task, "laptop").defaults()["entropy.target"] == 4.0
    assert build(task, "laptop", "gaussian").config.entropy.target == 2.0
    assert build("hopper", "laptop").config.entropy.target == 2.0


def test_the_paper_profile_is_the_published_setting() -> None:
    spec = build("ant_2x4", "paper")
    config = spec.config
    assert (spec.seeds, config.env_steps, config.evaluation.episodes) == (5, 3_000_000, 10)
    assert (config.critic.head, config.critic.categories, config.env.agent_obsk) == ("categorical", 100, None)
    assert (config.actor.denoising_steps, config.batch_size, config.replay_size) == (8, 256, 1_000_000)
    assert config.critic.v_max > 750, "the published return means more than that"
    assert "critic.quantiles" not in spec.space.paths
    theirs = build("ant_2x4", "paper", "hasac").config
    assert (theirs.critic.head, theirs.critic.hidden_width, theirs.env_steps) == ("scalar", 256, 3_000_000)


def test_no_search_fixes_the_seed_or_the_task() -> None:
    for task in TASKS:
        assert not {"seed", "task"} & set(build(task, "laptop").space.paths)


def conditions(spec: StudySpec, dimension: Dimension) -> dict[str, Any]:
    """Values of other parameters with which a dimension is sampled."""
    values = {path: allowed[0] for path, allowed in dimension.when.items() if path in spec.space.paths}
    return {**spec.space.settings(spec.defaults()), **values}


@pytest.mark.parametrize("task", sorted(TASKS))
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_value_at_both_ends_of_each_range_arrives_in_the_training(
    task: str, profile: str, algorithm: str
) -> None:
    spec = build(task, profile, algorithm)
    for dimension in spec.space.dimensions:
        for end in dimension.ends():
            wanted = {**conditions(spec, dimension), dimension.path: end}
            params = spec.space.defaults(spec.config, wanted)
            trial = FixedTrial(params)
            for config in spec.configs(trial):
                assert settings.get(config, dimension.path) == end
                assert all(
                    settings.get(config, path) == value for path, value in spec.space.settings(params).items()
                ), "what a trial is said to have is what it trains"
            assert set(trial.params) == set(params), "every parameter is read"
