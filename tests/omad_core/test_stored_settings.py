"""Stored settings: what is written says everything, and what an earlier release wrote means what it meant there."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator
from torch.nn.functional import softplus

from omad_core.algorithm.policies.denoiser import init_diffusion
from omad_core.checkpoint import checkpoint
from omad_core.config import ActorConfig, TrainConfig
from omad_core.errors import CheckpointError, ConfigError
from omad_core.policy import Policy
from omad_core.population import Population
from omad_core.settings import replace, to_dict
from omad_core.stored_settings import actor_config, resolved, train_config


@pytest.mark.parametrize("steps", [1, 3, 4, 6, 8, 12, 16])
def test_the_chain_starts_at_the_same_diffusion_time_whatever_its_length(steps):
    actor = ActorConfig(denoising_steps=steps)
    raw = init_diffusion(actor, 2, 3, 1, Generator())["raw_dt"]
    assert softplus(raw).flatten().tolist() == pytest.approx([1.6 / steps] * 2, rel=1e-6)


def test_a_number_for_dt_holds_whatever_the_chain_s_length():
    for steps in (3, 16):
        assert ActorConfig(denoising_steps=steps, dt=0.1).first_dt == 0.1
        assert ActorConfig(denoising_steps=steps, dt=0.1, diffusion_time=0.8).first_dt == 0.1


def test_a_chain_whose_step_size_is_said_twice_is_refused():
    with pytest.raises(ConfigError, match=r"actor.diffusion_time = 0.9 and actor.dt = 0.1 both say"):
        replace(TrainConfig(), {"actor.dt": 0.1, "actor.diffusion_time": 0.9})
    one = replace(TrainConfig(), {"actor.diffusion_time": 0.8, "actor.dt": "none"})
    assert one.actor.first_dt == 0.1


@pytest.mark.parametrize("steps", [3, 6, 12])
def test_a_resolved_training_is_stored_and_read_as_it_is(steps):
    config = replace(TrainConfig(), {"actor.denoising_steps": steps, "actor.diffusion_time": 0.7})
    whole = resolved(config)
    assert whole.actor.dt == 0.7 / steps
    assert train_config(to_dict(whole)) == whole == resolved(whole)


@pytest.mark.parametrize(("steps", "time"), [(1, 100.0), (64, 1e-3)])
def test_every_step_size_that_can_be_is_stored(steps, time):
    config = replace(TrainConfig(), {"actor.denoising_steps": steps, "actor.diffusion_time": time})
    assert train_config(to_dict(resolved(config))).actor.dt == time / steps


def test_a_policy_and_a_checkpoint_store_the_step_size_itself(small, tmp_path):
    config = small(actor__diffusion_time=0.7, env_steps=20)
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    population.advance()
    state = population.snapshot(member)
    population.policy(member).save(tmp_path / "policy")
    population.close()
    assert Policy.load(tmp_path / "policy").actor.dt == 0.7 / 3
    written = checkpoint.write(tmp_path, [state])
    (read,), _ = checkpoint.read(tmp_path, written.name, written.digest)
    assert read.config.actor.dt == 0.7 / 3
    again = Population(config, slice_seconds=0)
    again.admit(config, read)
    again.advance()
    again.close()
    other = Population(config, slice_seconds=0)
    with pytest.raises(CheckpointError, match="other settings"):
        other.admit(replace(config, {"actor.diffusion_time": 0.8}), read)
    other.close()


def test_what_an_earlier_release_stored_keeps_its_meaning():
    later = {"actor.diffusion_time", "entropy.adam_beta1", "actor.mask_padding"}
    stored = {path: value for path, value in to_dict(TrainConfig()).items() if path not in later}
    config = train_config(stored | {"actor.dt": 0.1})
    assert config.actor.first_dt == 0.1
    assert config.entropy.adam_beta1 == 0.5
    assert not config.actor.mask_padding
    actor = {path.removeprefix("actor."): v for path, v in stored.items() if path.startswith("actor.")}
    assert actor_config(actor | {"dt": 0.1}) == config.actor


@pytest.mark.parametrize("masked", [True, False])
def test_a_policy_of_unequal_widths_acts_as_in_training_and_beside_the_other_kind(
    small, run_to_end, monkeypatch, tmp_path, masked
):
    monkeypatch.syspath_prepend(Path(__file__).parent / "envs")
    one, other = (
        small(task="toy_worlds:saving_relay", actor__mask_padding=kind, actor__learning_rate=3e-3)
        for kind in (masked, not masked)
    )
    alone = Population(one, slice_seconds=0)
    member = alone.admit(one)
    run_to_end(alone, {member})
    expected = alone.snapshot(member).arrays
    together = Population(one, capacity=2, slice_seconds=0)
    members = [together.admit(config) for config in (one, other)]
    run_to_end(together, set(members))
    arrays = [together.snapshot(m).arrays for m in members]
    for name in expected:
        if name.startswith(("actor/", "critic/")):
            np.testing.assert_allclose(arrays[0][name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert np.abs(arrays[0]["actor/last.weight"] - arrays[1]["actor/last.weight"]).max() > 1e-3
    together.policy(members[0]).save(tmp_path)
    policy = Policy.load(tmp_path)
    assert policy.actor.mask_padding is masked
    spec, noises = policy.spec, policy.noises
    obs, noise = torch.randn(1, 3, 6, spec.obs_width), torch.randn(noises, 1, 3, 6, spec.action_width)
    acted = together._member_batch.learner.act(obs.expand(2, -1, -1, -1), noise.expand(-1, 2, -1, -1, -1))
    torch.testing.assert_close(policy.squashed(obs, noise), acted[:1])
    together.close()
    alone.close()
