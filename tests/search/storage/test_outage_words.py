"""What is tuned reaches the trainer: the default study of a laptop, asked as a worker asks."""

import optuna

from omad_core import settings
from search.study import catalog
from search.study.request import StudyRequest
from search.study.samplers import build_sampler


def test_at_least_two_values_of_every_tuned_setting_reach_the_trainer():
    spec = catalog.build(catalog.find("hopper"), StudyRequest(profile="laptop"), has_gpu=False)
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial(spec.defaults())
    seen = {path: set() for path in spec.space.paths}
    for slot in range(spec.trials):
        study.sampler = build_sampler(spec.sampler, spec.seed, slot, spec.space.paths)
        trial = study.ask()
        (config,) = spec.configs(trial)
        for path in trial.params:
            assert settings.get(config, path) == trial.params[path]
            seen[path].add(trial.params[path])
        study.tell(trial, float(slot))
    assert {"entropy.target", "actor.denoising_steps", "critic.quantiles", "gamma"} <= seen.keys()
    assert all(len(values) >= 2 for values in seen.values()), seen
