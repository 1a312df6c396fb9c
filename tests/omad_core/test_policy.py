"""Policies at home: the same actions as in training, whoever asks and however many at once."""

import json

import numpy as np
import pytest
import torch

from omad_core.errors import CheckpointError, ConfigError
from omad_core.policy import Policy
from omad_core.population import Population


@pytest.fixture(params=["diffusion", "gaussian"])
def trained(request, small, run_to_end):
    population = Population(small(actor__kind=request.param), slice_seconds=0)
    member = population.admit(small(actor__kind=request.param))
    run_to_end(population, {member})
    yield population, member
    population.close()


def test_a_saved_policy_acts_as_in_training(trained, tmp_path):
    population, member = trained
    population.policy(member).save(tmp_path)
    policy = Policy.load(tmp_path)
    spec = policy.spec
    obs = torch.randn(1, spec.num_agents, 6, spec.obs_width)
    noise = torch.randn(policy.noises, 1, spec.num_agents, 6, spec.action_width)
    torch.testing.assert_close(policy.squashed(obs, noise), population._learner.act(obs, noise))


def test_agents_may_be_asked_alone_and_in_batches(trained):
    population, member = trained
    policy = population.policy(member)
    widths = dict(zip(policy.spec.agents, policy.spec.obs_dims, strict=True))
    obs = {agent: np.random.default_rng(0).normal(size=(4, 5, width)) for agent, width in widths.items()}
    actions = policy.act(obs, deterministic=True)
    assert {agent: a.shape for agent, a in actions.items()} == dict.fromkeys(policy.spec.agents, (4, 5, 1))
    agent = policy.spec.agents[1]
    alone = policy.act({agent: obs[agent][2, 3]}, deterministic=True)
    np.testing.assert_allclose(alone[agent], actions[agent][2, 3], rtol=1e-5, atol=1e-6)


def test_a_seed_makes_a_sample_repeatable(trained):
    population, member = trained
    policy = population.policy(member)
    obs = np.zeros((3, sum(policy.spec.obs_dims)))
    np.testing.assert_array_equal(policy.act_joint(obs, seed=4), policy.act_joint(obs, seed=4))
    assert (policy.act_joint(obs, seed=4) != policy.act_joint(obs, seed=5)).any()


def test_actions_are_in_the_environments_units(trained):
    population, member = trained
    policy = population.policy(member)
    wide = tuple((0.0,) * d for d in policy.spec.action_dims)
    high = tuple((10.0,) * d for d in policy.spec.action_dims)
    spec = type(policy.spec)(**{**vars(policy.spec), "action_low": wide, "action_high": high})
    obs = np.zeros((50, sum(spec.obs_dims)))
    inner = policy.act_joint(obs, seed=0)
    policy.spec = spec
    np.testing.assert_allclose(policy.act_joint(obs, seed=0), 5 * (inner + 1), rtol=1e-4, atol=1e-5)


def test_wrong_observations_and_agents_are_refused_with_a_sentence(trained):
    policy = trained[0].policy(trained[1])
    with pytest.raises(ConfigError, match="observes 8 numbers"):
        policy.act({policy.spec.agents[0]: np.zeros(4)})
    with pytest.raises(ConfigError, match="no agent 'leg'"):
        policy.act({"leg": np.zeros(8)})


def test_tampered_foreign_and_newer_folders_are_refused(trained, tmp_path):
    trained[0].policy(trained[1]).save(tmp_path)
    weights = tmp_path / "policy.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="altered"):
        Policy.load(tmp_path)
    weights.write_bytes(content)
    document = json.loads((tmp_path / "policy.json").read_text())
    for change, sentence in (({"format": 99}, "format 99"), ({"kind": "zoo"}, "not an omad-policy")):
        (tmp_path / "policy.json").write_text(json.dumps(document | change))
        with pytest.raises(CheckpointError, match=sentence):
            Policy.load(tmp_path)
    with pytest.raises(CheckpointError, match="cannot read"):
        Policy.load(tmp_path / "nowhere")
