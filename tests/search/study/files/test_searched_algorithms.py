"""A study that searches the algorithm too: each trial is what a study of its algorithm alone would train."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FixedTrial

from omad_core.algorithms import ALGORITHMS
from search.study import catalog
from search.study.request import StudyRequest
from search.study.study_spec import StudySpec

SEARCHED = f"""
extends = "hopper"
[train]
algorithm = 'FIRST'
[space]
algorithm = {{ choices = {list(ALGORITHMS)} }}
""".replace("'", '"')
TRIALS = 24


def build(study: str, profile: str, **train: Any) -> StudySpec:
    return catalog.build(catalog.find(study), StudyRequest(profile=profile, train=train), has_gpu=False)


@pytest.mark.parametrize("profile", ["laptop", "gpu", "paper", "smoke"])
@pytest.mark.parametrize("first", ALGORITHMS)
def test_each_trial_has_the_settings_and_the_parameters_of_its_own_algorithm(
    profile: str, first: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text(SEARCHED.replace("FIRST", first))
    spec = build(str(tmp_path / "mine.toml"), profile)
    assert spec.config.algorithm == first
    alone = {name: build("hopper", profile, algorithm=name) for name in ALGORITHMS}
    seen = set()

    def objective(trial: optuna.Trial) -> float:
        config = spec.configs(trial)[0]
        own = alone[config.algorithm]
        params = {name: value for name, value in trial.params.items() if name != "algorithm"}
        asked = FixedTrial(params)
        assert own.configs(asked)[0] == config
        assert asked.params == params, "it has no other parameters"
        seen.add(config.algorithm)
        return 0.0

    optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).optimize(objective, n_trials=TRIALS)
    assert seen == set(ALGORITHMS)
