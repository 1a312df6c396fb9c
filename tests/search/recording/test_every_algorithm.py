"""A policy of every algorithm away from its training: in TorchScript, served, named in a model's metadata and card."""

import dataclasses
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from omad_core.algorithms import ALGORITHMS
from omad_core.config import default_config
from omad_core.policy import Policy
from omad_core.population import Population
from omad_core.settings import replace
from search.recording.model_card import Facts, model_card
from search.recording.publication import Result, model_files
from search.recording.served_policy import ServedPolicy
from search.reports.export import export
from search.study import catalog
from search.study.request import StudyRequest
from tracking.spool.spool import Spool

SIZES = {
    "actor.hidden_width": 16,
    "critic.hidden_width": 16,
    "actor.denoising_steps": 3,
    "batch_size": 16,
    "replay_size": 200,
    "critic.quantiles": 8,
}


@pytest.fixture(params=ALGORITHMS)
def algorithm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(algorithm: str, tmp_path: Path) -> Path:
    """An untrained policy's."""
    config = replace(default_config("hopper", algorithm), SIZES)
    population = Population(config, 1, "cpu")
    member = population.admit(config)
    population.advance()
    population.policy(member).save(tmp_path / "policy")
    population.close()
    return tmp_path / "policy"


def observations(policy: Policy) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(7, sum(policy.spec.obs_dims))).astype(np.float32)


def test_exported_it_acts_as_the_policy_itself(folder: Path, tmp_path: Path) -> None:
    policy = Policy.load(folder)
    files, obs = export(policy, tmp_path / "out"), observations(policy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that it has a successor
        script = torch.jit.load(str(files[-1]))
    expected = policy.act_joint(obs, deterministic=True)
    np.testing.assert_allclose(script(torch.from_numpy(obs)).numpy(), expected, atol=1e-5)


def test_served_it_acts_as_the_policy_itself(folder: Path) -> None:
    policy, served = Policy.load(folder), ServedPolicy()
    served.load_context(SimpleNamespace(artifacts={"policy": str(folder)}))
    obs = observations(policy)
    parts = np.split(obs, np.cumsum(policy.spec.obs_dims)[:-1], axis=1)
    wanted = policy.act(dict(zip(policy.spec.agents, parts, strict=True)), seed=4)
    joint = served.predict(None, obs, {"seed": 4})
    np.testing.assert_array_equal(joint, np.concatenate([wanted[a] for a in policy.spec.agents], 1))
    for agent, part in zip(policy.spec.agents, parts, strict=True):
        alone = served.predict(None, part, {"seed": 4, "agent": agent})
        np.testing.assert_array_equal(alone, wanted[agent])
    assert (joint != served.predict(None, obs, {"seed": 5})).any()


def test_metadata_and_card_of_its_model_name_it(algorithm: str, folder: Path, tmp_path: Path) -> None:
    policy = Policy.load(folder)
    study = catalog.build(catalog.find("hopper"), StudyRequest(profile="smoke"), has_gpu=False)
    study = dataclasses.replace(study, config=replace(default_config("hopper", algorithm), SIZES))
    result = Result(study, 7, {}, folder, 700, Spool(tmp_path / "spool"))
    metadata = model_files(policy, result, {"score": 3.0}, tmp_path).metadata
    assert metadata["algorithm"] == algorithm
    card = model_card(Facts(study, 7, {}, 3.0, 700), "models:/some/1", policy)
    assert f"Decentralised {algorithm.upper()} policies" in card
