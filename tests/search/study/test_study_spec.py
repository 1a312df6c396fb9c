"""The spec: complete, checked, stored and read back strictly, and compared with what is asked for later."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FixedTrial

from omad_core import settings
from omad_core.config import TrainConfig
from omad_core.errors import ConfigError
from search.study import catalog
from search.study.components import Component
from search.study.request import StudyRequest, differences, parse_settings
from search.study.space import Space
from search.study.study_spec import StudySpec


@pytest.fixture(scope="module")
def spec() -> StudySpec:
    requested = StudyRequest(
        train={"env.agent_obsk": None, "env.args.ctrl_cost_weight": 0.1}, numbers={"seeds": 2, "trials": 10}
    )
    return catalog.build(catalog.find("hopper"), requested, has_gpu=False)


def test_what_is_stored_is_read_back_the_same(spec: StudySpec) -> None:
    again = StudySpec.from_json(spec.to_json())
    assert again == spec
    assert again.config.env.agent_obsk is None
    assert again.to_json() == spec.to_json()


def test_a_spec_of_an_older_release_is_read() -> None:
    text = (Path(__file__).parent / "data" / "spec_format_1.json").read_text()
    spec = StudySpec.from_json(text)
    stored = json.loads(text)
    assert (stored["format"], spec.origin) == (1, None)
    later_settings = {p: v for p, v in settings.to_dict(TrainConfig()).items() if p not in stored["train"]}
    later_settings |= {"entropy.adam_beta1": 0.5, "actor.mask_padding": False}  # what they were then
    train = {**stored["train"], **later_settings}
    assert settings.to_dict(spec.config) == train
    assert StudySpec.from_json(spec.to_json()) == spec
    later: dict[str, Any] = {"format": 4, "origin": None, "kind": "search", "variants": {}}
    later |= dict.fromkeys(("parent", "confirm", "comparison"))
    assert json.loads(spec.to_json()) == {**stored, **later, "train": train}


@pytest.mark.parametrize("number", [2, 3])
def test_a_spec_of_an_older_format_is_part_of_no_comparison(spec: StudySpec, number: int) -> None:
    stored = {**json.loads(spec.to_json()), "format": number}
    del stored["comparison"]
    if number < 3:
        del stored["variants"]
    assert StudySpec.from_json(json.dumps(stored)) == spec
    with pytest.raises(ConfigError, match="unknown field 'comparison'"):
        StudySpec.from_json(json.dumps({**stored, "comparison": None}))


def test_a_field_of_a_newer_format_is_unknown_to_an_older_one(spec: StudySpec) -> None:
    with pytest.raises(ConfigError, match="unknown field 'origin'"):
        StudySpec.from_json(json.dumps({**json.loads(spec.to_json()), "format": 1}))


def test_what_is_stored_names_every_default(spec: StudySpec) -> None:
    stored = json.loads(spec.to_json())
    assert stored["train"]["actor.sigma0"] == 2.5
    assert stored["sampler"] == {"name": "tpe", "startup_trials": 4, "candidates": 24}
    assert stored["pruner"]["min_trials"] == 3


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": 5}, "format 5, this release reads up to 4"),
        ({"format": "1"}, "format 1, this release"),
        ({"origin": {"file": "x"}}, "is damaged"),
        ({"trails": 3}, "did you mean 'trials'"),
        ({"trials": 0}, "trials = 0 is out of range"),
        ({"train": {"gama": 0.9}}, "did you mean 'gamma'"),
        ({"space": [{"path": "gamma", "low": 0.9}]}, "high is missing"),
        ({"space": {"gamma": 3}}, "is damaged"),
        ({"sampler": {"startup_trials": 4}}, "is damaged"),
    ],
)
def test_a_stored_spec_that_is_not_understood_is_refused(
    spec: StudySpec, change: Any, complaint: str
) -> None:
    text = json.dumps({**json.loads(spec.to_json()), **change})
    with pytest.raises(ConfigError, match=complaint):
        StudySpec.from_json(text)


@pytest.mark.parametrize("text", ["{", "[]", "3", "{}"])
def test_what_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="the stored spec"):
        StudySpec.from_json(text)


def test_a_stored_spec_with_a_field_missing_is_refused(spec: StudySpec) -> None:
    stored = json.loads(spec.to_json())
    del stored["seeds"]
    with pytest.raises(ConfigError, match="lacks seeds"):
        StudySpec.from_json(json.dumps(stored))


def test_a_trial_trains_its_values_once_for_each_seed(spec: StudySpec) -> None:
    params = {**spec.defaults(), "actor.denoising_steps": 7}
    first, second = spec.configs(FixedTrial(params))
    assert first.actor.denoising_steps == second.actor.denoising_steps == 7
    assert (first.seed, second.seed) == spec.training_seeds
    assert dataclasses.replace(second, seed=first.seed) == first


def test_another_study_seed_trains_other_seeds(spec: StudySpec) -> None:
    other = dataclasses.replace(spec, seed=spec.seed + 1)
    assert not set(other.training_seeds) & set(spec.training_seeds)


def test_the_defaults_can_be_enqueued_and_train_the_untuned_configuration(spec: StudySpec) -> None:
    study = optuna.create_study()
    study.enqueue_trial(spec.defaults())
    trial = study.ask()
    assert spec.configs(trial)[0] == spec.config
    assert trial.params == spec.defaults()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "../x"}, "is no study name"),
        ({"name": ""}, "is no study name"),
        ({"name": "v1.2"}, "is no study name"),
        ({"seeds": 0}, "seeds = 0 is out of range"),
        ({"sampler": Component("tpee", {})}, "did you mean 'tpe'"),
    ],
)
def test_a_wrong_spec_cannot_be_made(spec: StudySpec, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        dataclasses.replace(spec, **change)


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        (StudyRequest(), []),
        (StudyRequest(task="hopper", profile="laptop", numbers={"trials": 10, "seeds": 2}), []),
        (StudyRequest(numbers={"trials": 20}), []),
        (StudyRequest(numbers={"trials": 5}), ["--trials 5 (the study has 10)"]),
        (StudyRequest(numbers={"final_episodes": 5}), ["--final-episodes 5 (the study has 20)"]),
        (StudyRequest(profile="gpu"), ["--profile gpu (the study has laptop)"]),
        (StudyRequest(task="ant_2x4"), ["--task ant_2x4 (the study has hopper)"]),
        (StudyRequest(train={"env_steps": 5000}), []),
        (StudyRequest(train={"env_steps": 9000}), ["env_steps 9000 (the study has 5000)"]),
        (StudyRequest(train={"gamma": 0.99}), ["gamma = 0.99 (the study searches it)"]),
        (StudyRequest(train={"env.agent_obsk": "none"}), []),
        (StudyRequest(train={"env.args.ctrl_cost_weight": 0.1}), []),
        (
            StudyRequest(train={"env.args.ctrl_cost_weight": 0.2}),
            ["env.args.ctrl_cost_weight 0.2 (the study has 0.1)"],
        ),
    ],
)
def test_only_explicit_requests_that_differ_are_named(
    spec: StudySpec, requested: StudyRequest, expected: list[str]
) -> None:
    assert differences(spec, requested) == expected


def test_settings_of_a_command_line_are_converted() -> None:
    pairs = [
        "gamma = 0.5",
        "env.agent_obsk=none",
        "env_steps=1e4",
        "evaluation.deterministic=yes",
        "env.args.a=[1]",
    ]
    assert parse_settings(pairs) == {
        "gamma": 0.5,
        "env.agent_obsk": None,
        "env_steps": 10_000,
        "evaluation.deterministic": True,
        "env.args.a": [1],
    }


@pytest.mark.parametrize(
    ("pairs", "complaint"),
    [
        (["gamma"], "has no '='"),
        (["gama=0.9"], "did you mean 'gamma'"),
        (["learning_rate=0.9"], "did you mean '.*learning_rate'"),
        (["gamma=0.9", "gamma=0.8"], "names gamma twice"),
        (["gamma=high"], "'high' is not a number"),
        (["actor.learning_rate=0"], "actor.learning_rate = 0 learns nothing: give a number above 0"),
        (["critic.learning_rate=0.0"], "critic.learning_rate = 0 learns nothing"),
        (["entropy.learning_rate=0"], "keep alpha as it is with entropy.mode = fixed"),
        (["actor.grad_clip=0"], "actor.grad_clip = 0 learns nothing"),
    ],
)
def test_settings_of_a_command_line_that_make_no_sense_are_refused(pairs: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse_settings(pairs)


def test_a_stored_value_with_which_nothing_is_learned_is_read(spec: StudySpec) -> None:
    idle = settings.replace(spec.config, {"actor.learning_rate": 0.0})
    stored = dataclasses.replace(spec, config=idle, space=Space()).to_json()
    assert StudySpec.from_json(stored).config.actor.learning_rate == 0.0


def test_the_seed_is_not_one_of_the_settings() -> None:
    with pytest.raises(ConfigError, match="seed is not set with --set"):
        StudyRequest(train={"seed": 3})
