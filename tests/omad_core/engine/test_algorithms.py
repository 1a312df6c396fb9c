"""Every algorithm: all that holds for OMAD holds for each, with agents of unequal widths."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from member_checks import RATES, advance_to, assert_same, learned

from omad_core.algorithm.learner import Learner
from omad_core.algorithms import ALGORITHMS
from omad_core.checkpoint import checkpoint
from omad_core.config import default_config
from omad_core.engine.graphs import Buffers, CudaGraphEngine, EagerEngine
from omad_core.engine.replay import Replay
from omad_core.errors import CheckpointError
from omad_core.events import Diverged, Evaluated, Finished, Progress
from omad_core.policy import Policy
from omad_core.population import Population
from omad_core.settings import get, replace, to_dict

sys.path.insert(0, str(Path(__file__).parent))
from tape import Tape, call_again, record

SYNCS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "lift_fresh")


@pytest.fixture(params=ALGORITHMS)
def algorithm(request):
    return request.param


@pytest.fixture
def make(algorithm, small, monkeypatch):
    """A training of the algorithm whose three agents have unequal widths of observations and actions."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "envs"))
    plain = {path: value for path, value in to_dict(small()).items() if not path.startswith("actor.kind")}
    own = ALGORITHMS[algorithm].defaults
    kept = {path: value for path, value in own.items() if "width" not in path and path != "batch_size"}
    base = replace(default_config("hopper", algorithm), plain | {"algorithm": algorithm} | kept)
    tiny = {"madpmd.candidates": 6, "madpmd.states": 8, "madpmd.refresh": 2, "madpmd.chunk": 4}
    changes = {"task": "toy_worlds:saving_relay", "critic.quantiles": 4, "env_steps": 40, "n_step": 2}
    changes |= {"actor.denoising_steps": 3, **(tiny if algorithm == "madpmd" else {})}
    base = replace(base, changes)
    return lambda **wish: replace(base, {path.replace("__", "."): value for path, value in wish.items()})


def test_its_defaults_are_those_of_its_entry(make, algorithm):
    for path, value in ALGORITHMS[algorithm].defaults.items():
        assert get(default_config("hopper", algorithm), path) == value
    assert make().actor.kind == ALGORITHMS[algorithm].policy


def test_it_trains_and_every_part_of_it_moves(make, run_to_end):
    config = make(critic__target_tau=0.1)
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    advance_to(population, member, 24)
    early = population.snapshot(member).arrays
    events = run_to_end(population, {member})
    late = population.snapshot(member).arrays
    names = population._member_batch.learner.objective.metrics(population.spec)
    population.close()
    assert [e.env_steps for e in events if isinstance(e, Evaluated)] == [40]
    row = [e for e in events if isinstance(e, Progress) and e.metrics][-1].metrics
    assert {"train/q_mean", "train/critic_loss", *(f"train/{name}" for name in names)} <= row.keys()
    assert all(np.isfinite(value) for value in row.values())
    groups = {name.partition("/")[0] for name in learned(late)}
    assert {"target_critic", "actor", "critic"} <= groups
    for group in groups:
        parts = [name for name in late if name.startswith(f"{group}/")]
        assert any((late[name] != early[name]).any() for name in parts), group


@pytest.mark.parametrize("tau", [None, 0.05])
def test_resumed_from_a_checkpoint_it_is_bit_for_bit_the_uninterrupted_one(make, run_to_end, tmp_path, tau):
    wish = {} if tau is None else {"critic__target_tau": tau, "critic__head": "quantile"}
    configs = [make(seed=s, critic__quantiles=q, **wish) for s, q in ((1, 4), (2, 3))]
    whole = Population(configs[0], 2, slice_seconds=0)
    members = [whole.admit(config) for config in configs]
    run_to_end(whole, set(members))
    expected = [whole.snapshot(member) for member in members]
    first = Population(configs[0], 2, slice_seconds=0)
    members = [first.admit(config) for config in configs]
    advance_to(first, members[0], 30)
    written = checkpoint.write(tmp_path, [first.snapshot(member) for member in members])
    second = Population(configs[0], 2, slice_seconds=0)
    states, _ = checkpoint.read(tmp_path, written.name, written.digest)
    members = [second.admit(config, state) for config, state in zip(configs, states, strict=True)]
    run_to_end(second, set(members))
    for member, state in zip(members, expected, strict=True):
        assert_same(second.snapshot(member).arrays, state.arrays)
    for population in (whole, first, second):
        population.close()


@pytest.mark.parametrize(("rate", "envs", "delay"), RATES)
def test_resumed_at_any_rate_of_updates_it_is_the_uninterrupted_one_also_beside_a_neighbour(
    make, run_to_end, rate, envs, delay
):
    end = {0.05: 140, 0.5: 60, 1: 48, 2: 40}[rate]
    config = make(updates_per_step=rate, num_envs=envs, policy_delay=delay, env_steps=end)
    whole = Population(config, slice_seconds=0)
    member = whole.admit(config)
    advance_to(whole, member, (config.random_steps + end) // 2)
    state = whole.snapshot(member)
    run_to_end(whole, {member})
    expected = whole.snapshot(member).arrays
    for name in ("actor.steps/steps", "critic.steps/steps"):
        early, late = np.asarray(state.arrays[name]), np.asarray(expected[name])
        assert ((early > 0) & (early < late)).all(), "it learned before and since"

    alone = Population(config, slice_seconds=0)
    again = alone.admit(config, state)
    run_to_end(alone, {again})
    assert_same(alone.snapshot(again).arrays, expected)

    together = Population(config, 2, slice_seconds=0)
    neighbour = together.admit(replace(config, {"seed": 7, "env_steps": 3 * end}))
    advance_to(together, neighbour, end + envs)
    beside = together.admit(config, state)
    run_to_end(together, {beside})
    arrays = together.snapshot(beside).arrays
    for name in learned(expected):
        close = {"rtol": 1e-4, "atol": 1e-5}
        np.testing.assert_allclose(arrays[name], expected[name], **close, err_msg=name)
    for population in (whole, alone, together):
        population.close()


def test_a_member_among_wider_ones_and_empty_lanes_trains_as_it_does_alone(make, run_to_end):
    config = make(seed=5)
    alone = Population(config, slice_seconds=0)
    member = alone.admit(config)
    run_to_end(alone, {member})
    expected = learned(alone.snapshot(member).arrays)
    theirs = {"critic.quantiles": 9, "actor.denoising_steps": 6, "env_steps": 70, "seed": 6}
    other = replace(config, {**theirs, "entropy.learning_rate": 1e-2, "actor.learning_rate": 1e-4})
    crowd = Population(other, 3, max_quantiles=9, slice_seconds=0)
    crowd.admit(other)
    advance_to(crowd, 0, 14)
    member = crowd.admit(config)
    run_to_end(crowd, {member})
    assert_same(learned(crowd.snapshot(member).arrays), expected, exact=False)
    for population in (alone, crowd):
        population.close()


def test_one_that_diverges_ends_alone_at_its_last_finite_weights(make, run_to_end):
    population = Population(make(), 2, slice_seconds=0)
    kept, lost = population.admit(make(seed=1)), population.admit(make(seed=2, env_steps=400))
    advance_to(population, lost, 30)
    population._member_batch.learner.actor["last.bias"].data[1] = torch.nan
    events = run_to_end(population, {kept, lost})
    assert [type(e) for e in events if e.member == lost][-1] is Diverged
    assert any(isinstance(e, Finished) and e.member == kept for e in events)
    state = population.snapshot(lost)
    assert all(np.isfinite(array).all() for array in learned(state.arrays).values())
    state.arrays["critic/last.bias"][0] = np.nan
    population.evict(lost)
    with pytest.raises(CheckpointError, match=r"critic/last\.bias is not finite"):
        population.admit(state.config, state)
    population.close()


def test_its_policy_saves_loads_and_acts_as_in_training(make, run_to_end, tmp_path):
    config = make()
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    run_to_end(population, {member})
    policy, learner = population.policy(member), population._member_batch.learner
    obs = torch.randn(1, 3, 4, population.spec.obs_width)
    noise = torch.randn(learner.most_noises, 1, 3, 4, population.spec.action_width)
    torch.testing.assert_close(policy.squashed(obs, noise), learner.act(obs, noise))
    population.close()
    policy.save(tmp_path / "policy")
    again = Policy.load(tmp_path / "policy")
    assert again.actor == policy.actor
    seen = {
        agent: np.ones((5, width))
        for agent, width in zip(again.spec.agents, again.spec.obs_dims, strict=True)
    }
    for how in ({"deterministic": True}, {"seed": 3}):
        ours, theirs = policy.act(seen, **how), again.act(seen, **how)
        for index, agent in enumerate(again.spec.agents):
            np.testing.assert_array_equal(ours[agent], theirs[agent])
            assert (ours[agent] >= again.spec.action_low[index]).all()
            assert (ours[agent] <= again.spec.action_high[index]).all()
            np.testing.assert_array_equal(again.act({agent: seen[agent]}, **how)[agent], ours[agent])


def test_padding_of_narrow_agents_enters_nothing(make):
    """Other noise in padded columns moves no real action."""
    config = make()
    population = Population(config, slice_seconds=0)
    learner, spec = population._member_batch.learner, population.spec
    population.close()
    obs = torch.randn(1, 3, 4, spec.obs_width)
    noise = torch.randn(learner.most_noises, 1, 3, 4, spec.action_width)
    other = noise + 5.0 * (1.0 - learner.action_mask)[:, None]
    drawn, again = learner.draw(obs, noise), learner.draw(obs, other)
    mask = learner.action_mask[:, None].expand_as(drawn.action) > 0
    torch.testing.assert_close(drawn.action[mask], again.action[mask], rtol=0.0, atol=0.0)
    torch.testing.assert_close(drawn.cost + drawn.prior, again.cost + again.prior, rtol=0.0, atol=0.0)


def test_recorded_it_trains_as_step_by_step(make, run_to_end):
    ends = []
    for how in (call_again, record):
        config = make(seed=1)
        population = Population(config, 2, slice_seconds=0)
        batch = population._member_batch
        batch.engine = CudaGraphEngine(batch.learner, batch.replay, how)
        first = population.admit(config)
        advance_to(population, first, 26)
        other = population.admit(make(seed=2, actor__denoising_steps=5, critic__quantiles=3))
        run_to_end(population, {first, other})
        ends.append([population.snapshot(member).arrays for member in (first, other)])
        population.close()
    for left, right in zip(*ends, strict=True):
        assert_same(left, right)


def parts(config):
    population = Population(config, 2, slice_seconds=0)
    members = [population.admit(config) for _ in range(2)]
    advance_to(population, members[0], 30)
    population.close()
    return population._member_batch.learner, population._member_batch.replay


def test_runs_before_recording_leave_no_trace(make):
    config = make(critic__target_tau=0.1)
    learner, replay = parts(config)
    before = [learner.weights.row(lane, config) for lane in (0, 1)]
    CudaGraphEngine(learner, replay, record)._record_if_stale()
    for lane in (0, 1):
        assert_same(learner.weights.row(lane, config), before[lane])


def test_an_update_asks_for_no_value(make):
    learner, replay = parts(make())
    buffers = Buffers(learner)
    with Tape() as tape:
        EagerEngine(learner, replay).update(buffers.indices, buffers.draws, True, buffers.learning)
    assert not [call[0] for call in tape.calls if call[0].overloadpacket.__name__ in SYNCS]
    masks = [
        call[0]
        for call in tape.calls
        if call[0].overloadpacket.__name__ in ("index", "index_put_")
        and any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in call[1][1])
    ]
    assert not masks


def test_an_update_on_a_device_touches_no_tensor_of_the_host(make):
    config = make()
    spec, device = parts(config)[0].spec, torch.device("meta")
    learner = Learner(spec, config, 2, device, config.critic.quantiles)
    engine = EagerEngine(learner, Replay(spec, 2, config.num_envs, config.replay_size, config.n_step, device))
    buffers, library = Buffers(learner), torch.library.Library("aten", "IMPL", "Meta")
    library.impl("_fused_adam_.tensor_lr", lambda *lists, **settings: None)
    try:
        engine.update(buffers.indices, buffers.draws, True, buffers.learning)
    finally:
        library._destroy()
