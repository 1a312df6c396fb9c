"""An algorithm's defaults lie below all files, and below each trial where `algorithm` is searched."""

from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import optuna
import pytest

from omad_core.algorithms import ALGORITHMS
from omad_core.errors import ConfigError
from search.study import catalog
from search.study.request import StudyRequest
from search.study.study_spec import StudySpec

SEARCHED = """
extends = "hopper"
[train]
gamma = 0.98
[space]
gamma = false
algorithm = { choices = ["omad", "gaussian"] }
n_step = { low = 1, high = 5, when = { algorithm = "gaussian" } }
batch_size = { low = 32, high = 64, when = { algorithm = "omad" } }
"""


@pytest.fixture(autouse=True)
def own_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"n_step": 3, "gamma": 0.5, "policy_delay": 1, "batch_size": 100, "actor.hidden_width": 7}
    monkeypatch.setitem(ALGORITHMS, "gaussian", changed(ALGORITHMS["gaussian"], defaults=own))


def build(profile: str, path: Path | None = None, **train: Any) -> StudySpec:
    requested = StudyRequest(profile=profile, train=train)
    return catalog.build(catalog.find(str(path or "hopper")), requested, has_gpu=False)


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_files_and_options_come_after_them() -> None:
    config = build("smoke", algorithm="gaussian", gamma="0.9").config
    assert (config.algorithm, config.actor.kind) == ("gaussian", "gaussian")
    assert (config.n_step, config.policy_delay) == (3, 1), "nobody says otherwise"
    assert (config.batch_size, config.actor.hidden_width) == (32, 16), "the profile does"
    assert config.gamma == 0.9, "an option does"
    overrides = {
        override.setting: override for override in build("smoke", algorithm="gaussian").origin.overrides
    }
    assert overrides["batch_size"].replaced == ((100, "the defaults of gaussian"),)


def test_a_kind_of_policy_alone_still_means_its_algorithm(tmp_path: Path) -> None:
    config = build("smoke", **{"actor.kind": "gaussian"}).config
    assert (config.algorithm, config.n_step) == ("gaussian", 3)
    file = written(tmp_path, 'extends = "hopper"\n[train]\nalgorithm = "omad"')
    with pytest.raises(ConfigError, match="contradicts algorithm = omad"):
        build("smoke", file, **{"actor.kind": "gaussian"})


def test_where_algorithms_are_searched_each_trial_has_those_of_its_own(tmp_path: Path) -> None:
    spec = build("smoke", written(tmp_path, SEARCHED))
    assert spec.space.paths[0] == "algorithm"
    assert spec.defaults()["algorithm"] == "omad"
    assert spec.space.variants["omad"] == {}
    stored = StudySpec.from_json(spec.to_json())
    assert stored == spec
    seen = set()

    def objective(trial: Any) -> float:
        (config,) = stored.configs(trial)
        seen.add(config.algorithm)
        gaussian = config.algorithm == "gaussian"
        assert config.actor.kind == ("gaussian" if gaussian else "diffusion")
        assert config.policy_delay == (1 if gaussian else 3)
        assert config.gamma == 0.98
        assert config.actor.hidden_width == 16
        assert config.batch_size == (32 if gaussian else trial.params["batch_size"])
        assert config.n_step == (trial.params["n_step"] if gaussian else 1)
        assert spec.config_of(trial).algorithm == config.algorithm
        return 0.0

    optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).optimize(objective, n_trials=12)
    assert seen == {"omad", "gaussian"}


def test_the_first_trial_is_of_an_algorithm_that_is_searched(tmp_path: Path) -> None:
    choices = 'algorithm = { choices = ["gaussian", "omad"], start = "gaussian" }'
    text = SEARCHED.replace('algorithm = { choices = ["omad", "gaussian"] }', choices)
    assert build("smoke", written(tmp_path, text)).defaults()["algorithm"] == "omad"
    named = build("smoke", written(tmp_path, text.replace("[train]", '[train]\nalgorithm = "gaussian"')))
    assert (named.config.algorithm, named.config.n_step) == ("gaussian", 3)
    assert named.defaults() | {"algorithm": "gaussian", "n_step": 3} == named.defaults()
    assert build("smoke", written(tmp_path, text), algorithm="gaussian").space.variants == {}


def test_what_is_said_of_one_algorithm_is_read_by_it_alone(tmp_path: Path) -> None:
    text = """
extends = "hopper"
[train]
n_step = 2
[for.gaussian]
n_step = 4
policy_delay = 5
[profile.smoke.for.gaussian]
policy_delay = 7
"""
    path = written(tmp_path, text)
    ours, theirs = build("laptop", path), build("laptop", path, algorithm="gaussian")
    assert (ours.config.n_step, theirs.config.n_step, theirs.config.policy_delay) == (2, 4, 5)
    assert ours.config.policy_delay == 3
    assert build("smoke", path, algorithm="gaussian").config.policy_delay == 7
    assert build("smoke", path, algorithm="gaussian", policy_delay=2).config.policy_delay == 2


def test_it_is_read_by_its_trials_where_algorithms_are_searched(tmp_path: Path) -> None:
    spec = build("laptop", written(tmp_path, SEARCHED + "[for.omad]\ncritic.hidden_width = 24\n"))
    found = {}

    def objective(trial: Any) -> float:
        (config,) = spec.configs(trial)
        found[config.algorithm] = config.critic.hidden_width
        return 0.0

    optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).optimize(objective, n_trials=8)
    assert found == {"omad": 24, "gaussian": 128}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[for.hasca]\ngamma = 0.9", r"mine.toml: unknown algorithm 'hasca'; did you mean 'hasac'"),
        ('[for.omad]\nalgorithm = "omad"', r"mine.toml: \[for.omad\] algorithm: the table's name says"),
        ("[for.omad]\ngama = 0.9", r"mine.toml: unknown setting .?gama"),
        ("[for]\nomad = 3", r"mine.toml: omad = 3 is no table"),
    ],
)
def test_what_no_algorithm_can_be_told_is_refused(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=complaint):
        build("laptop", written(tmp_path, f'extends = "hopper"\n{text}'))
