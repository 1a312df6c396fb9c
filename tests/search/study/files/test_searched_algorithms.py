"""A study that searches the algorithm too: each trial is what a study of its algorithm alone would train."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from omad_core.algorithms import ALGORITHMS
from omad_core.settings import to_dict
from search.study import catalog
from search.study.request import StudyRequest
from search.study.study_spec import StudySpec

SEARCHED = f'extends = "hopper"\n[space]\nalgorithm = {{ choices = {list(ALGORITHMS)} }}\n'.replace("'", '"')
TRIALS = 24


def build(study: str, profile: str, **train: Any) -> StudySpec:
    return catalog.build(catalog.find(study), StudyRequest(profile=profile, train=train), has_gpu=False)


@pytest.mark.parametrize("profile", ["laptop", "gpu", "paper", "smoke"])
def test_each_trial_has_the_settings_and_the_parameters_of_its_own_algorithm(
    profile: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text(SEARCHED)
    spec = build(str(tmp_path / "mine.toml"), profile)
    alone = {name: build("hopper", profile, algorithm=name) for name in ALGORITHMS}
    seen = set()

    def objective(trial: optuna.Trial) -> float:
        config = spec.configs(trial)[0]
        own = alone[config.algorithm]
        assert set(trial.params) <= {"algorithm", *own.space.parameters}
        searched = own.space.settings(trial.params)
        kept = {path: value for path, value in to_dict(own.config).items() if path not in searched}
        assert kept == {path: to_dict(config)[path] for path in kept}
        assert {path: to_dict(config)[path] for path in searched} == searched
        seen.add(config.algorithm)
        return 0.0

    optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).optimize(objective, n_trials=TRIALS)
    assert seen == set(ALGORITHMS)
