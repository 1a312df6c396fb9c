"""MADPMD's updates beside the equations of docs/algorithms.md, written out in loops over states, candidates and agents.

Only the two networks themselves are shared with the code: the noise guess and the critics, asked for one row at a time.
"""

import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch

from omad_core.algorithm.batch import Transitions
from omad_core.algorithm.critics import critic as critics
from omad_core.algorithm.learner import Learner
from omad_core.algorithm.policies import ddpm
from omad_core.config import default_config
from omad_core.nn.layers import row
from omad_core.rng.draw_blocks import draw
from omad_core.settings import replace
from omad_core.task import TaskSpec

DIMS = (2, 1)
SPEC = TaskSpec(
    "toy", "toy", {}, ("first", "second"), (3, 2), DIMS, ((-1.0,) * 2, (-1.0,)), ((1.0,) * 2, (1.0,)), 4, 10, True
)  # fmt: skip
LEVELS, CANDIDATES, STATES, BATCH = 3, 5, 3, 4
GAMMA, STEPS, TERMINATED = 0.9, 2, (0, 1, 0, 0)
RATE = 0.02
SMALL = {
    "actor.hidden_width": 8,
    "actor.denoising_steps": LEVELS,
    "actor.grad_clip": 1e9,
    "actor.learning_rate": 0.01,
    "critic.hidden_width": 8,
    "critic.quantiles": 3,
    "critic.norm": "none",
    "critic.target_tau": 0.1,
    "batch_size": BATCH,
    "madpmd.candidates": CANDIDATES,
    "madpmd.states": STATES,
    "madpmd.chunk": 2,
    "madpmd.temperature": 0.3,
    "madpmd.learning_rate": RATE,
}
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def learner_of(*members):
    """Members with these settings beside SMALL, whose old actors and target critics are not the live ones."""
    base = replace(default_config("hopper", "madpmd"), SMALL)
    configs = [replace(base, {"seed": seed, **member}) for seed, member in enumerate(members)]
    learner = Learner(SPEC, configs[0], len(configs), torch.device("cpu"), base.critic.quantiles)
    gen = torch.Generator().manual_seed(15)
    for lane, config in enumerate(configs):
        learner.start(lane, config)
    learner.set_present(configs)
    disturb(learner.actor, 0.1, gen)
    disturb(learner.critic, 0.7, gen)
    return learner


@torch.no_grad()
def disturb(params, scale, gen):
    for tensor in params.values():
        tensor += scale * torch.randn(tensor.shape, generator=gen)


def batch_of(learner, seed=2):
    gen, members, agents = torch.Generator().manual_seed(seed), learner.capacity, len(DIMS)
    normal = lambda *size: torch.randn(members, *size, generator=gen)
    action = normal(agents, BATCH, max(DIMS)).tanh()
    discount = GAMMA**STEPS * (1.0 - torch.tensor(TERMINATED).expand(members, -1))
    obs, after = normal(agents, BATCH, 3), normal(agents, BATCH, 3)
    return Transitions(obs, normal(BATCH, 4), action, normal(BATCH), discount, after, normal(BATCH, 4))


def draws_of(learner, update, seed=3):
    gen, draws = torch.Generator().manual_seed(seed), {}
    for name, spec in learner.objective.draws.items():
        if spec.update == update:
            rows = (learner.rows[name],) if spec.rows else ()
            size = (*rows, learner.capacity, *spec.shape(SPEC, learner.config))
            draws[name] = draw(spec.kind, size, gen)
    return draws


def updated(learner, learning=None, seed=3):
    """One update of the actors: its metrics."""
    learning = torch.ones(learner.capacity, dtype=torch.bool) if learning is None else learning
    draws = draws_of(learner, "actor", seed)
    return learner.objective.update_actors(learner, batch_of(learner, seed), draws, learning)


def kept(k):
    """ab_k of the linear schedule 1e-4 to .999, times .8."""
    return math.prod(1.0 - 0.8 * (1e-4 + (0.999 - 1e-4) * j / (LEVELS - 1)) for j in range(k))


def guess_of(learner, member, actor, obs, action, levels):
    """e_i(a_i^k, o_i, k) of one row: [A, U], for obs [A, O], action [A, U] and a level of each agent."""
    own = {name: tensor[member : member + 1] for name, tensor in actor.items()}
    shape = dataclasses.replace(learner.shape, denoising_steps=torch.tensor([float(LEVELS)]))
    step = torch.tensor([LEVELS - k for k in levels])
    return ddpm.predict(own, shape, obs[None, :, None], action[None, :, None], step[None, :, None])[0, :, 0]


def drawn(learner, member, actor, obs, noise):
    """One joint action [A, U] by ancestral sampling, for obs [A, O] and noise [1 + K, A, U]."""
    x = noise[0]
    for k in range(LEVELS, 0, -1):
        now, after = kept(k), kept(k - 1)
        eps = guess_of(learner, member, actor, obs, x, [k] * len(DIMS))
        clean = ((x - math.sqrt(1.0 - now) * eps) / math.sqrt(now)).clamp(-1.0, 1.0)
        beta, rest = 1.0 - now / after, 1.0 - now
        mean = math.sqrt(after) * beta / rest * clean + math.sqrt(1.0 - beta) * (1.0 - after) / rest * x
        x = mean + math.sqrt(beta * (1.0 - after) / rest) * noise[1 + LEVELS - k]
    return x


def returns(critic, member, state, action):
    """Quantiles of each critic, [C, M], for state [S] and a joint action [A, U]."""
    own = {name: tensor[member : member + 1] for name, tensor in critic.items()}
    real = [action[agent, :dim] for agent, dim in enumerate(DIMS)]
    return critics.evaluate(own, {}, torch.cat([state, *real])[None, None])[0, :, 0]


def written_out(learner, member, batch, draws):
    """Loss of the actors, KL of the weights, and which critics said least, as the equations say."""
    loss, kl, least, temperature = 0.0, 0.0, set(), float(log_t(learner)[member].exp())
    old = learner.own["old_actor"]
    for s in range(STATES):
        obs, rows = batch.obs[member, :, s], [m * STATES + s for m in range(CANDIDATES)]
        noises = [draws["candidates"][:, member, :, at] for at in rows]
        with torch.no_grad():
            actions = [drawn(learner, member, old, obs, noise) for noise in noises]
            each = [returns(learner.critic, member, batch.state[member, s], action) for action in actions]
        means = [of_all.mean(1).tolist() for of_all in each]
        least |= {of_all.index(min(of_all)) for of_all in means}
        values = [min(of_all) for of_all in means]
        powers = [math.exp((value - max(values)) / temperature) for value in values]
        weights = [power / sum(powers) for power in powers]
        entropy = -sum(w * math.log(w) for w in weights)
        kl += (math.log(CANDIDATES) - entropy) / STATES
        for at, action, weight in zip(rows, actions, weights, strict=True):
            levels = [LEVELS - int(share * LEVELS) for share in draws["levels"][member, :, at].tolist()]
            share, eps = torch.tensor([[kept(k)] for k in levels]), draws["noise"][member, :, at]
            noisy = share.sqrt() * action + (1.0 - share).sqrt() * eps
            error = guess_of(learner, member, learner.actor, obs, noisy, levels) - eps
            for agent, dim in enumerate(DIMS):
                loss += weight * error[agent, :dim].square().sum() / STATES
    return loss, kl, least


def gradient(learner, group):
    """What the first step of Adam was made of."""
    beta1 = {"actor": learner.config.actor, "temperature": learner.config.entropy}[group].adam_beta1
    return {name: tensor / (1.0 - beta1) for name, tensor in learner.weights.adams[group].first.items()}


def log_t(learner):
    return learner.own["temperature"]["log_temperature"].clone()


@pytest.fixture(scope="module")
def after():
    """One update of two members that differ in T and kl_target: what it gave, and what was expected."""
    learner = learner_of(
        {"madpmd.temperature": 0.3, "madpmd.kl_target": 0.1},
        {"madpmd.temperature": 0.6, "madpmd.kl_target": 1.5},
    )
    batch, draws, log_t_before = batch_of(learner), draws_of(learner, "actor"), log_t(learner)
    losses, kls, least = zip(*(written_out(learner, member, batch, draws) for member in (0, 1)), strict=True)
    assert least == ({0, 1}, {0, 1}), "the minimum should not be one critic's alone"
    gradients = torch.autograd.grad(sum(losses), list(learner.actor.values()))
    metrics = learner.objective.update_actors(learner, batch, draws, torch.tensor([True, True]))
    return SimpleNamespace(
        learner=learner,
        metrics=metrics,
        losses=[float(loss.detach()) for loss in losses],
        gradients=dict(zip(learner.actor, gradients, strict=True)),
        kls=kls,
        log_t_before=log_t_before,
    )


def test_the_actors_loss_is_the_weighted_error_of_the_old_ones_candidates(after):
    assert after.metrics["actor_loss"].tolist() == pytest.approx(after.losses, rel=1e-4)


def test_the_actors_gradient_is_that_of_the_written_out_loss(after):
    for name, found in gradient(after.learner, "actor").items():
        torch.testing.assert_close(found, after.gradients[name], **CLOSE)


def test_the_weights_distance_from_equal_ones_is_log_m_less_their_entropy(after):
    assert after.metrics["kl_of_weights"].tolist() == pytest.approx(after.kls, rel=1e-4)


def test_log_t_has_the_gradient_of_its_formula(after):
    """T ( kl_target + H(w) - log M )"""
    found = gradient(after.learner, "temperature")["log_temperature"].tolist()
    assert found == pytest.approx([0.3 * (0.1 - after.kls[0]), 0.6 * (1.5 - after.kls[1])], rel=1e-4)


def test_t_rises_where_weights_are_further_apart_than_asked_and_falls_where_they_are_closer(after):
    assert after.kls[0] > 0.2
    assert after.kls[1] < 1.4
    moved = (log_t(after.learner) - after.log_t_before).tolist()
    assert moved == pytest.approx([RATE, -RATE], rel=1e-3)


def test_t_settles_where_the_weights_are_as_far_apart_as_asked():
    """From both sides, for the same candidates again and again."""
    asked = {"madpmd.kl_target": 0.4, "madpmd.learning_rate": 0.1, "madpmd.refresh": 10**6}
    learner = learner_of(*({"madpmd.temperature": temperature, **asked} for temperature in (0.03, 3.0)))
    first = updated(learner)["kl_of_weights"].tolist()
    assert first[0] > 0.6
    assert first[1] < 0.2
    for _ in range(100):
        last = updated(learner)["kl_of_weights"].tolist()
    assert last == pytest.approx([0.4, 0.4], abs=0.02)


def test_a_rate_of_0_keeps_t():
    learner = learner_of({"madpmd.learning_rate": 0.0})
    before = log_t(learner)
    updated(learner)
    assert torch.equal(log_t(learner), before)


def test_the_live_actors_have_no_part_in_the_weights_and_the_old_ones_have():
    gen = torch.Generator().manual_seed(4)
    first, live, old = learner_of({}), learner_of({}), learner_of({})
    disturb(live.actor, 0.1, gen)
    disturb(old.own["old_actor"], 0.1, gen)
    wanted = updated(first)
    assert torch.equal(updated(live)["kl_of_weights"], wanted["kl_of_weights"])
    assert not torch.isclose(updated(old)["kl_of_weights"], wanted["kl_of_weights"], rtol=1e-3)


@pytest.mark.parametrize("least", [0, 1])
def test_a_critic_that_says_more_than_another_has_no_part_in_the_weights(least):
    found = []
    for change in (None, 1 - least, least):
        learner = learner_of({"madpmd.temperature": 2.0})
        learner.critic["last.bias"].data[:, 1 - least] += 1e3
        if change is not None:
            learner.critic["last.weight"].data[:, change] *= 2.0
        found.append(float(updated(learner)["kl_of_weights"]))
    assert found[0] == found[1]
    assert found[2] > found[0] * 1.5


def test_a_chunk_is_no_other_result():
    whole, parts = (updated(learner_of({"madpmd.chunk": chunk})) for chunk in (CANDIDATES, 2))
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, **CLOSE)


def same(learner, lane, params):
    old = row(learner.own["old_actor"], lane)
    return all(torch.equal(old[name], tensor) for name, tensor in params.items())


def test_the_old_actors_are_the_live_ones_at_each_member_s_own_multiples_of_refresh_and_stay_in_between():
    periods = (3, 2)
    learner = learner_of(*({"madpmd.refresh": period} for period in periods))
    for count in range(1, 8):
        before = [row(learner.own["old_actor"], lane) for lane in (0, 1)]
        updated(learner, seed=count)
        for lane, period in enumerate(periods):
            live, due = row(learner.actor, lane), count % period == 0
            assert same(learner, lane, live if due else before[lane])
            assert not same(learner, lane, before[lane] if due else live)


def test_a_member_that_does_not_learn_keeps_its_old_actors_and_t():
    learner = learner_of({"madpmd.refresh": 1}, {"madpmd.refresh": 1})
    before, kept_t = row(learner.own["old_actor"], 1), log_t(learner)[1]
    updated(learner, learning=torch.tensor([True, False]))
    assert same(learner, 0, row(learner.actor, 0))
    assert same(learner, 1, before)
    assert log_t(learner)[1] == kept_t


def test_a_resumed_member_goes_on_in_its_period_beside_one_that_has_just_begun():
    config = {"madpmd.refresh": 3}
    source, target = learner_of(config), learner_of(config, config)
    for count in (1, 2, 3, 4):
        updated(source, seed=count)
    own = replace(source.config, {"seed": 0})
    target.load(1, own, source.weights.row(0, own), source.measures.names)
    for count in (5, 6):
        before = row(target.own["old_actor"], 1)
        updated(target, seed=count)
        assert same(target, 1, row(target.actor, 1) if count == 6 else before)


@pytest.fixture
def apart():
    """Members whose target critics and old actors are not the live ones, a batch, and the draws of the critics."""
    learner = learner_of({}, {})
    return learner, batch_of(learner), draws_of(learner, "critic")


def following(learner, member, batch, draws, at):
    """a' [A, U] of the current actors at one next state."""
    noise = draws["target"][:, member, :, at]
    return drawn(learner, member, learner.actor, batch.next_obs[member, :, at], noise)


@torch.no_grad()
def test_next_actions_are_drawn_from_the_current_actors(apart):
    learner, batch, draws = apart
    found = learner.objective.target(learner, batch, draws).action
    for member in (0, 1):
        for at in range(BATCH):
            wanted = following(learner, member, batch, draws, at)
            for agent, dim in enumerate(DIMS):
                torch.testing.assert_close(found[member, agent, at, :dim], wanted[agent, :dim], **CLOSE)


def test_nothing_is_added_to_the_reward(apart):
    learner, batch, draws = apart
    assert torch.equal(learner.objective.target(learner, batch, draws).reward, batch.reward)


@torch.no_grad()
def test_the_critics_learn_reward_and_the_discounted_return_of_the_target_critics(apart):
    """sum_j mean_b sum_m mean_n of the quantile Huber loss, eq. 9, with y = R + gamma^n (1 - terminated) Z'."""
    learner, batch, draws = apart
    wanted = [0.0, 0.0]
    for member in (0, 1):
        for at, terminated in enumerate(TERMINATED):
            action = following(learner, member, batch, draws, at)
            z = returns(learner.own["target_critic"], member, batch.next_state[member, at], action)
            y = batch.reward[member, at] + GAMMA**STEPS * (1 - terminated) * z.flatten()
            now = returns(learner.critic, member, batch.state[member, at], batch.action[member, :, at])
            for of_one in now.tolist():
                for m, value in enumerate(of_one):
                    for error in (y - value).tolist():
                        huber = 0.5 * error**2 if abs(error) <= 1.0 else abs(error) - 0.5
                        side = abs((2 * m + 1) / (2 * len(of_one)) - (error < 0.0))
                        wanted[member] += side * huber / len(y) / BATCH
    with torch.enable_grad():
        learner.update_critic(batch, draws, None, measure=True)
    found = learner.measures.tensors["sums"][:, learner.measures.names.index("critic_loss")]
    assert found.tolist() == pytest.approx(wanted, rel=1e-4)


def test_what_follows_a_terminated_step_is_of_no_account(apart):
    learner, batch, draws = apart
    other, end = learner_of({}, {}), TERMINATED.index(1)
    elsewhere = batch_of(learner)
    elsewhere.next_obs[:, :, end] += 1.0
    elsewhere.next_state[:, end] += 1.0
    for each, seen in ((learner, batch), (other, elsewhere)):
        each.update_critic(seen, draws, None, measure=True)
    for name, tensor in learner.critic.items():
        assert torch.equal(other.critic[name], tensor)
