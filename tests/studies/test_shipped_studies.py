"""The shipped study files: one for each task, every profile usable, tuning what matters."""

import pytest

from omad_core.tasks import TASKS
from search.spec import catalog
from search.spec.given import Given
from search.spec.spec import StudySpec


def build(task: str, profile: str) -> StudySpec:
    return catalog.build(catalog.find(task), Given(profile=profile), has_gpu=False)


def test_every_task_has_a_study_and_every_study_a_task() -> None:
    assert set(catalog.shipped()) == set(TASKS)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_profile_of_every_study_can_be_used(task: str) -> None:
    study = catalog.find(task)
    catalog.check(study)
    assert set(study.profiles) == {"laptop", "gpu", "paper", "smoke"}
    assert all(build(task, profile).task == task for profile in study.profiles)


@pytest.mark.parametrize("profile", ["laptop", "gpu"])
def test_a_search_tunes_what_matters_most(profile: str) -> None:
    assert {
        "entropy.mode",
        "entropy.target",
        "entropy.alpha",
        "actor.denoising_steps",
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


def test_the_paper_profile_is_the_published_setting() -> None:
    spec = build("ant_2x4", "paper")
    config = spec.config
    assert (spec.seeds, config.env_steps, config.evaluation.episodes) == (5, 3_000_000, 10)
    assert (config.critic.head, config.critic.categories, config.env.agent_obsk) == ("categorical", 100, None)
    assert (config.actor.denoising_steps, config.batch_size, config.replay_size) == (8, 256, 1_000_000)
    assert config.critic.v_max > 750, "the published return means more than that"
    assert "critic.quantiles" not in spec.space.paths


def test_no_search_fixes_the_seed_or_the_task() -> None:
    for task in TASKS:
        assert not {"seed", "task"} & set(build(task, "laptop").space.paths)
