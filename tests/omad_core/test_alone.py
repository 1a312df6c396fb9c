"""omad_core stands alone: what a researcher imports is exported, and brings no search along."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import omad_core
from omad_core import EnvConfig, make_env

ROOT = Path(__file__).parents[2]
SEARCH = {"optuna", "mlflow", "typer", "rich", "sqlalchemy", "cli", "search", "tracking"}
SIMULATORS = {"mujoco", "gymnasium_robotics", "mpe2", "pettingzoo"}
TRAINING = """
import numpy
from omad_core import (
    ActorConfig, CriticConfig, EvaluationConfig, Evaluated, Finished, Policy, TrainConfig, train
)
config = TrainConfig(
    task="hopper", env_steps=20, random_steps=10, batch_size=4, replay_size=40,
    actor=ActorConfig(hidden_width=8, hidden_layers=1, denoising_steps=2),
    critic=CriticConfig(hidden_width=8, hidden_layers=1, quantiles=3),
    evaluation=EvaluationConfig(every_steps=20, episodes=1),
)
*events, policy = train(config)
assert [type(e) for e in events if isinstance(e, Evaluated | Finished)] == [Evaluated, Finished], events
policy.save("policy")
policy = Policy.load("policy")
policy.act_joint(numpy.zeros((1, sum(policy.spec.obs_dims))))
"""
LOADED = "\nimport json, sys\nprint(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"


def loaded(code: str, folder: Path) -> set[str]:
    """First names of all modules of a fresh process that ran this."""
    path = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", path + code + LOADED], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_training_and_its_policy_load_nothing_of_the_search(tmp_path):
    names = loaded(TRAINING, tmp_path)
    assert {"torch", "mujoco"} <= names
    assert not names & SEARCH


def test_configs_events_and_errors_load_no_torch_and_no_numpy(tmp_path):
    names = loaded(
        "from omad_core import TrainConfig, EnvConfig, Evaluated, Event, OmadError; TrainConfig()", tmp_path
    )
    assert not names & {"torch", "numpy", *SEARCH, *SIMULATORS}


def test_a_policy_loads_no_simulator(tmp_path):
    assert not loaded("from omad_core import Policy", tmp_path) & {*SEARCH, *SIMULATORS}


def test_all_that_is_exported_is_there_and_is_listed():
    assert omad_core._HOMES.keys() == set(omad_core.__all__)
    for name in omad_core.__all__:
        assert getattr(omad_core, name) is not None
    assert set(omad_core.__all__) <= set(dir(omad_core))
    with pytest.raises(AttributeError, match="no attribute 'Polcy'"):
        _ = omad_core.Polcy


@pytest.mark.parametrize("home", ["config", "events", "errors"])
def test_every_class_of_these_modules_is_exported(home):
    module = __import__(f"omad_core.{home}", fromlist=[home])
    own = {n for n, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__}
    assert own
    assert own <= set(omad_core.__all__)


def test_an_environment_needs_no_more_than_its_name():
    env, same = make_env("hopper"), make_env("hopper", EnvConfig(), 1)
    try:
        assert env.num_envs == 1
        for each in (env, same):
            each.reset([0], [3])
        np.testing.assert_array_equal(env.observe()[0], same.observe()[0])
    finally:
        env.close()
        same.close()
