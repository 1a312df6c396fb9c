"""An objective of another kind, in one class and one entry: all that holds for OMAD holds for it, the engine unchanged.

It has a target network, a copy of old policies that is refreshed now and then, a dual variable for each agent, agents
that step in a random order, and draws of three kinds.
"""

import sys
from dataclasses import replace as changed
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from member_checks import advance_to, assert_same, learned

from omad_core.algorithm.learner import Learner
from omad_core.algorithm.objectives.catalog import OBJECTIVES
from omad_core.algorithm.objectives.objective import DrawSpec, Group, Target
from omad_core.algorithm.policies.kinds import policy_kind
from omad_core.checkpoint import checkpoint
from omad_core.engine.graphs import Buffers, CudaGraphEngine, EagerEngine
from omad_core.engine.replay import Replay
from omad_core.errors import CheckpointError
from omad_core.events import Diverged, Evaluated, Finished, Progress
from omad_core.nn.layers import move, write
from omad_core.population import Population
from omad_core.settings import replace

sys.path.insert(0, str(Path(__file__).parent))
from tape import Tape, call_again, record

SYNCS = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "lift_fresh")
REFRESH = 4


def of_policy(spec, config):
    return spec.num_agents, config.batch_size, spec.action_width


def noises(config):
    return policy_kind(config.actor).noises(config.actor)


class InTurns:
    """Agents in a random order, each against the new policies before it and the old ones after it."""

    actor_counted = 2
    reads: ClassVar = {"dual_rate": lambda c: c.entropy.learning_rate, "budget": lambda c: c.entropy.target}
    draws: ClassVar = {
        "next": DrawSpec(101, of_policy, rows=noises),
        "smoothing": DrawSpec(102, of_policy, kind="uniform"),
        "own": DrawSpec(103, of_policy, rows=noises, update="actor", block=1),
        "order": DrawSpec(104, lambda spec, config: (spec.num_agents,), kind="permutation", update="actor"),
    }
    groups: ClassVar = {
        "target_critic": Group(lambda config, spec, fresh: fresh.critic, atoms=True),
        "target_statistics": Group(lambda config, spec, fresh: fresh.statistics),
        "old_actor": Group(lambda config, spec, fresh: fresh.actor),
        "duals": Group(lambda config, spec, fresh: {"log_beta": torch.zeros(spec.num_agents)}, counted=2),
    }

    def metrics(self, spec):
        return ["actor_loss", *(f"beta_{agent}" for agent in spec.agents)]

    def beta(self, networks):
        return networks.own["duals"]["log_beta"].exp()

    def slow(self, networks):
        return networks.own["target_critic"], networks.own["target_statistics"]

    def target(self, networks, batch, draws):
        following = networks.draw(batch.next_obs, draws["next"])
        action = (following.action + 0.2 * (draws["smoothing"] - 0.5)).clamp(-1.0, 1.0)
        bound = (self.beta(networks)[..., None] * (following.cost + following.prior)).sum(1)
        return Target(action, batch.reward - batch.discount * bound, self.slow(networks))

    def after_critics(self, networks, learning):
        move(networks.own["target_critic"], networks.critic, 0.1, learning)
        move(networks.own["target_statistics"], networks.statistics, 0.1, learning)

    def update_actors(self, networks, batch, draws, learning):
        obs, noise, order = batch.obs, draws["own"], draws["order"]
        agents = torch.arange(networks.spec.num_agents, device=order.device)
        old = networks.own["old_actor"]
        with torch.no_grad():
            actions = networks.draw(obs, noise, actor=old).action
        loss = torch.zeros(networks.capacity, device=order.device)
        for agent in order.unbind(1):
            ours = agent[:, None] == agents
            drawn = networks.draw_one(agent, obs, noise)
            joint = torch.where(ours[..., None, None], drawn.action, actions)
            value = networks.value(batch.state, joint, self.slow(networks)).min(1).values
            beta = (self.beta(networks) * ours).sum(1)
            own = (beta[:, None] * (drawn.cost + drawn.prior)[:, 0] - value).mean(1)
            networks.step_actor(own, learning, agent)
            slope = -self.beta(networks) * (drawn.cost.detach().mean(2) - networks.number("budget")[:, None])
            networks.step("duals", [slope], networks.number("dual_rate"), ours & learning[:, None])
            with torch.no_grad():
                again = networks.draw_one(agent, obs, noise).action
            actions = torch.where(ours[..., None, None], again, actions)
            loss = loss + own.detach()
        due = (networks.steps("actor")[:, 0].remainder(REFRESH) == 0) & learning
        write(old, networks.actor, due)
        betas = zip(networks.spec.agents, self.beta(networks).unbind(1), strict=True)
        return {"actor_loss": loss, **{f"beta_{agent}": beta for agent, beta in betas}}


@pytest.fixture(autouse=True)
def one_entry(monkeypatch):
    for name in OBJECTIVES:
        monkeypatch.setitem(OBJECTIVES, name, InTurns())


@pytest.fixture
def toy(small, monkeypatch):
    """A training whose three agents have unequal widths of observations and actions."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "envs"))
    return lambda **changes: small(
        **{"task": "toy_worlds:saving_relay", "critic__quantiles": 4, "env_steps": 40, **changes}
    )


def group(arrays, name):
    return {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(f"{name}/")}


@pytest.mark.parametrize("kind", ["diffusion", "gaussian"])
def test_it_trains_and_every_part_of_it_moves(toy, run_to_end, kind):
    config = toy(actor__kind=kind)
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    advance_to(population, member, 22)
    early = population.snapshot(member).arrays
    events = run_to_end(population, {member})
    late = population.snapshot(member).arrays
    agents = population.spec.agents
    population.close()
    assert population.spec.action_dims == (1, 2, 3)
    assert [e.env_steps for e in events if isinstance(e, Evaluated)] == [40]
    row = [e for e in events if isinstance(e, Progress) and e.metrics][-1].metrics
    assert {"train/q_mean", "train/actor_loss", *(f"train/beta_{agent}" for agent in agents)} <= row.keys()
    assert "train/alpha" not in row
    updates = late["actor.steps/steps"]
    assert updates.shape == late["duals.steps/steps"].shape == (len(agents),)
    assert (updates == updates[0]).all()
    assert REFRESH < updates[0] <= late["critic.steps/steps"] / config.policy_delay + 1
    assert (late["duals/log_beta"] != early["duals/log_beta"]).all()
    for name in ("target_critic", "target_statistics", "old_actor", "actor"):
        before, after = group(early, name), group(late, name)
        assert any((before[k] != after[k]).any() for k in before), name
    assert any((late[f"critic/{k}"] != v).any() for k, v in group(late, "target_critic").items())
    assert any((late[f"actor/{k}"] != v).any() for k, v in group(late, "old_actor").items())


def test_agents_step_in_an_order_that_is_drawn_anew(toy):
    config = toy(env_steps=400)
    population = Population(config, slice_seconds=0)
    member, seen = population.admit(config), []
    update = population._member_batch.engine.update
    population._member_batch.engine.update = lambda indices, draws, actors, learning: (
        seen.append(draws["order"][0].tolist()) if actors else None,
        update(indices, draws, actors, learning),
    )
    advance_to(population, member, 60)
    population.close()
    assert all(sorted(order) == [0, 1, 2] for order in seen)
    assert len({tuple(order) for order in seen}) > 3


@pytest.mark.parametrize("head", ["quantile", "categorical"])
def test_resumed_from_a_checkpoint_it_is_bit_for_bit_the_uninterrupted_one(toy, run_to_end, tmp_path, head):
    configs = [toy(seed=s, critic__head=head, critic__quantiles=q) for s, q in ((1, 4), (2, 3))]
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


@pytest.mark.parametrize("kind", ["diffusion", "gaussian"])
def test_a_member_among_wider_ones_and_empty_lanes_trains_as_it_does_alone(toy, run_to_end, kind):
    config = toy(seed=5, actor__kind=kind)
    alone = Population(config, slice_seconds=0)
    member = alone.admit(config)
    run_to_end(alone, {member})
    expected = learned(alone.snapshot(member).arrays)
    theirs = {"critic.quantiles": 9, "actor.denoising_steps": 6, "entropy.target": 2.0, "env_steps": 70}
    other = replace(config, {**theirs, "seed": 6, "entropy.learning_rate": 1e-2})
    crowd = Population(other, 3, max_quantiles=9, slice_seconds=0)
    crowd.admit(other)
    advance_to(crowd, 0, 14)
    member = crowd.admit(config)
    run_to_end(crowd, {member})
    assert_same(learned(crowd.snapshot(member).arrays), expected, exact=False)
    for population in (alone, crowd):
        population.close()


def test_state_of_its_own_that_is_lost_ends_its_member_alone(toy, run_to_end):
    population = Population(toy(), 2, slice_seconds=0)
    kept, lost = population.admit(toy(seed=1)), population.admit(toy(seed=2, env_steps=400))
    advance_to(population, lost, 30)
    population._member_batch.learner.own["duals"]["log_beta"][1].fill_(torch.nan)
    events = run_to_end(population, {kept, lost})
    assert [type(e) for e in events if e.member == lost][-1] is Diverged
    assert any(isinstance(e, Finished) and e.member == kept for e in events)
    state = population.snapshot(lost)
    assert all(np.isfinite(a).all() for a in learned(state.arrays).values())
    state.arrays["target_critic/last.bias"][0] = np.nan
    population.evict(lost)
    with pytest.raises(CheckpointError, match=r"target_critic/last\.bias is not finite"):
        population.admit(state.config, state)
    population.close()


def test_measures_of_a_checkpoint_are_found_by_their_names(toy, run_to_end):
    population = Population(toy(), slice_seconds=0)
    member = population.admit(toy())
    advance_to(population, member, 30)
    state = population.snapshot(member)
    population.evict(member)
    names = state.records["measures"]
    kept = [names.index(name) for name in reversed(names) if name != "actor_loss"]
    sums = {"measures/sums": state.arrays["measures/sums"][kept]}
    older = changed(
        state,
        arrays={**state.arrays, **sums},
        records={**state.records, "measures": [names[at] for at in kept]},
    )
    member = population.admit(state.config, older)
    population.advance()
    loaded = population._member_batch.learner.measures
    fresh = Population(toy(), slice_seconds=0)
    exact = fresh.admit(toy(), state)
    fresh.advance()
    expected = fresh._member_batch.learner.measures.tensors["sums"][0].clone()
    expected[names.index("actor_loss")] -= float(state.arrays["measures/sums"][names.index("actor_loss")])
    torch.testing.assert_close(loaded.tensors["sums"][0], expected, rtol=1e-4, atol=1e-4)
    run_to_end(population, {member})
    run_to_end(fresh, {exact})
    for records in ({"measures": "q_mean"}, {"measures": names[1:]}):
        fresh.evict(exact)
        with pytest.raises(CheckpointError):
            exact = fresh.admit(toy(), changed(state, records={**state.records, **records}))
        exact = fresh.admit(toy(), state)
    for each in (population, fresh):
        each.close()


def recorded(population, how):
    """Make a population on the CPU compute as beside a GPU."""
    member_batch = population._member_batch
    member_batch.engine = CudaGraphEngine(member_batch.learner, member_batch.replay, how)
    return population


@pytest.mark.parametrize("kind", ["diffusion", "gaussian"])
def test_recorded_it_trains_as_step_by_step(toy, run_to_end, kind):
    ends = []
    for how in (call_again, record):
        config = toy(seed=1, actor__kind=kind)
        population = recorded(Population(config, 2, slice_seconds=0), how)
        first = population.admit(config)
        advance_to(population, first, 26)
        other = population.admit(toy(seed=2, actor__kind=kind, actor__denoising_steps=5, critic__quantiles=3))
        run_to_end(population, {first, other})
        ends.append([population.snapshot(member).arrays for member in (first, other)])
        population.close()
    for left, right in zip(*ends, strict=True):
        assert_same(left, right)


def parts(config, device="cpu"):
    population = Population(config, 2, slice_seconds=0)
    members = [population.admit(config) for _ in range(2)]
    advance_to(population, members[0], 30)
    population.close()
    return population._member_batch.learner, population._member_batch.replay


def test_runs_before_recording_leave_no_trace(toy):
    config = toy()
    learner, replay = parts(config)
    before = [learner.weights.row(lane, config) for lane in (0, 1)]
    CudaGraphEngine(learner, replay, record)._record_if_stale()
    for lane in (0, 1):
        assert_same(learner.weights.row(lane, config), before[lane])


def test_an_update_asks_for_no_value(toy):
    learner, replay = parts(toy())
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
    assert len(tape.calls) > 500


def test_an_update_on_a_device_touches_no_tensor_of_the_host(toy):
    config = toy()
    spec, device = parts(config)[0].spec, torch.device("meta")
    learner = Learner(spec, config, 2, device, config.critic.quantiles)
    engine = EagerEngine(learner, Replay(spec, 2, config.num_envs, config.replay_size, config.n_step, device))
    buffers, library = Buffers(learner), torch.library.Library("aten", "IMPL", "Meta")
    library.impl("_fused_adam_.tensor_lr", lambda *lists, **settings: None)
    try:
        engine.update(buffers.indices, buffers.draws, True, buffers.learning)
    finally:
        library._destroy()
