"""Policies at home: the same actions as in training, whoever asks and however many at once."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from omad_core.checkpoint.files import digest, to_json
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
    torch.testing.assert_close(policy.squashed(obs, noise), population._member_batch.learner.act(obs, noise))


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


def observations(policy, count=4):
    rng = np.random.default_rng(0)
    widths = zip(policy.spec.agents, policy.spec.obs_dims, strict=True)
    return {agent: rng.normal(size=(count, width)) for agent, width in widths}


def test_a_generator_samples_anew_every_time_and_repeatably_from_its_seed(trained):
    policy = trained[0].policy(trained[1])
    obs = observations(policy)

    def trajectory(seed):
        generator = torch.Generator().manual_seed(seed)
        given = [obs, dict(reversed(obs.items())), obs]
        return [policy.act(each, generator=generator)[policy.spec.agents[0]] for each in given]

    first, again, other = trajectory(0), trajectory(0), trajectory(1)
    np.testing.assert_array_equal(first, again)
    assert (first[0] != first[1]).any()
    assert (first[1] != first[2]).any()
    assert (first[0] != other[0]).any()


def test_a_generator_draws_the_same_whatever_the_order_agents_are_named_in(trained):
    policy = trained[0].policy(trained[1])
    obs = observations(policy)
    backwards = dict(reversed(obs.items()))
    one = policy.act(obs, generator=torch.Generator().manual_seed(0))
    other = policy.act(backwards, generator=torch.Generator().manual_seed(0))
    assert list(other) == list(backwards)
    for agent, actions in one.items():
        np.testing.assert_array_equal(actions, other[agent])


def test_a_joint_call_takes_a_generator_too(trained):
    policy = trained[0].policy(trained[1])
    obs = observations(policy)
    apart = policy.act(obs, generator=torch.Generator().manual_seed(0))
    joint = policy.act_joint(
        np.concatenate(list(obs.values()), 1), generator=torch.Generator().manual_seed(0)
    )
    np.testing.assert_array_equal(joint, np.concatenate(list(apart.values()), 1))


def test_without_a_seed_every_call_draws_anew_and_leaves_torchs_own_numbers_alone(trained):
    policy = trained[0].policy(trained[1])
    obs = observations(policy)
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    one = policy.act(obs)
    assert torch.initial_seed() == 5
    torch.testing.assert_close(torch.randn(3), expected, rtol=0, atol=0)
    torch.manual_seed(5)
    other = policy.act(obs)
    assert all((one[agent] != other[agent]).any() for agent in obs)


def test_an_agent_asked_alone_with_a_seed_draws_as_among_the_others(trained):
    policy = trained[0].policy(trained[1])
    obs = observations(policy)
    together = policy.act(obs, seed=4)
    for agent in obs:
        np.testing.assert_array_equal(policy.act({agent: obs[agent]}, seed=4)[agent], together[agent])


def test_agents_asked_apart_with_one_seed_do_not_share_their_noise(trained):
    policy = trained[0].policy(trained[1])
    for tensor in policy._weights.values():  # agents that are alike, who see the same
        tensor.copy_(tensor[:, :1].expand_as(tensor).clone())
    obs = {agent: np.zeros_like(seen) for agent, seen in observations(policy).items()}
    first, second, *_ = (policy.act({agent: obs[agent]}, seed=4)[agent] for agent in obs)
    assert (first != second).all()


def test_without_noise_no_generator_moves(trained):
    policy = trained[0].policy(trained[1])
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    policy.act(observations(policy), deterministic=True, generator=generator)
    assert torch.equal(generator.get_state(), before)


def test_noise_from_two_places_or_another_device_is_refused_with_a_sentence(trained):
    policy = trained[0].policy(trained[1])
    with pytest.raises(ConfigError, match="both a generator and seed = 0"):
        policy.act(observations(policy), generator=torch.Generator(), seed=0)
    with pytest.raises(ConfigError, match="the generator is on meta"):
        policy.act(observations(policy), generator=FarAway())


class FarAway:
    """Stands for a generator of another device, which not every machine can make."""

    device = torch.device("meta")


def test_a_saved_policy_of_agents_of_different_widths_acts_as_in_training(
    small, run_to_end, monkeypatch, tmp_path
):
    monkeypatch.syspath_prepend(Path(__file__).parent / "envs")
    config = small(task="toy_worlds:relay")
    population = Population(config, slice_seconds=0)
    try:
        member = population.admit(config)
        run_to_end(population, {member})
        population.policy(member).save(tmp_path)
        policy, spec = Policy.load(tmp_path), population.policy(member).spec
        obs = observations(policy)
        padded = torch.zeros(1, spec.num_agents, 4, spec.obs_width)
        for index, seen in enumerate(obs.values()):
            padded[0, index, :, : seen.shape[1]] = torch.from_numpy(seen)
        noise = torch.zeros(policy.noises, 1, spec.num_agents, 4, spec.action_width)
        expected = 3.0 * (population._member_batch.learner.act(padded, noise)[0].numpy() + 1.0) - 2.0
        sampled = population.policy(member).act(obs, seed=1)
    finally:
        population.close()
    actions = policy.act(obs, deterministic=True)
    assert {agent: taken.shape[1] for agent, taken in actions.items()} == {
        "first": 1,
        "second": 2,
        "third": 3,
    }
    for index, (agent, taken) in enumerate(actions.items()):
        np.testing.assert_allclose(taken, expected[index, :, : taken.shape[1]], rtol=1e-5, atol=1e-5)
        alone = policy.act({agent: obs[agent]}, seed=1)[agent]
        np.testing.assert_allclose(alone, sampled[agent], rtol=1e-5, atol=1e-5)


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


def reseal(folder, **changes):
    """Change the document as somebody would who knows how it is made."""
    document = json.loads((folder / "policy.json").read_text()) | changes
    document.pop("seal")
    (folder / "policy.json").write_bytes(to_json({**document, "seal": digest(to_json(document))}))


def test_tampered_foreign_and_newer_folders_are_refused(trained, tmp_path):
    trained[0].policy(trained[1]).save(tmp_path)
    weights = tmp_path / "policy.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="altered"):
        Policy.load(tmp_path)
    weights.write_bytes(content)
    original = (tmp_path / "policy.json").read_text()
    document = json.loads(original)
    for change, sentence in (
        ({"format": 99}, "format 99"),
        ({"kind": "zoo"}, "not an omad-policy"),
        ({"notes": {"trial": 3}}, "altered: its seal"),
    ):
        (tmp_path / "policy.json").write_text(json.dumps(document | change))
        with pytest.raises(CheckpointError, match=sentence):
            Policy.load(tmp_path)
    (tmp_path / "policy.json").write_text(original)
    Policy.load(tmp_path)
    with pytest.raises(CheckpointError, match="cannot read"):
        Policy.load(tmp_path / "nowhere")


def test_weights_and_shapes_that_do_not_fit_together_are_refused(trained, tmp_path):
    trained[0].policy(trained[1]).save(tmp_path)
    document = json.loads((tmp_path / "policy.json").read_text())
    spec = document["spec"]
    wider = {**spec, "obs_dims": [width + 1 for width in spec["obs_dims"]]}
    for change, sentence in (
        ({"spec": wider}, r"its actor needs float32 \[.*the file has float32 \["),
        ({"spec": {**spec, "agents": spec["agents"][:1]}}, "not a policy this release can read"),
        ({"spec": {**spec, "action_low": [[0.0, 1.0]] * len(spec["agents"])}}, "other widths than bounds"),
        ({"spec": {**spec, "agents": 3}}, "not a policy this release can read"),
        ({"spec": [1]}, "not a policy this release can read"),
        ({"actor": {**document["actor"], "hidden_layers": 1}}, "its actor needs"),
        ({"actor": [1]}, "not a policy this release can read"),
        ({"notes": [1]}, "not a policy this release can read"),
    ):
        reseal(tmp_path, **change)
        with pytest.raises(CheckpointError, match=sentence):
            Policy.load(tmp_path)
        reseal(tmp_path, **document)
    Policy.load(tmp_path)


def test_a_pickle_in_the_place_of_the_weights_is_never_unpickled(trained, tmp_path):
    trained[0].policy(trained[1]).save(tmp_path)
    content = pickle.dumps(Trap())
    (tmp_path / "policy.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="altered"):
        Policy.load(tmp_path)
    reseal(tmp_path, digest=digest(content))
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        Policy.load(tmp_path)


class Trap:
    """Ends whoever unpickles it."""

    def __reduce__(self):
        return sys.exit, (9,)
