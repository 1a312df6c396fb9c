"""Updates: what moves which way, and what keeps still."""

import numpy as np
import pytest
import torch

from omad_core.algorithm.batch import Transitions
from omad_core.algorithm.learner import Learner
from omad_core.config import TrainConfig
from omad_core.nn.adam import Adam
from omad_core.settings import replace
from omad_core.task import TaskSpec


def spec_of(agents=2):
    box = tuple((-1.0,) for _ in range(agents))
    high = tuple((1.0,) for _ in range(agents))
    names = tuple(f"agent_{n}" for n in range(agents))
    return TaskSpec("toy", "toy", {}, names, (1,) * agents, (1,) * agents, box, high, 1, 1, True)


def learner_of(capacity=1, **changes):
    values = {
        "actor.hidden_width": 32,
        "critic.hidden_width": 64,
        "batch_size": 128,
        "actor.denoising_steps": 4,
    }
    config = replace(TrainConfig(), values | {k.replace("__", "."): v for k, v in changes.items()})
    learner = Learner(spec_of(), config, capacity, torch.device("cpu"), config.critic.quantiles)
    for lane in range(capacity):
        learner.start(lane, config)
    learner.set_present([config] * capacity)
    return learner


def alpha_of(learner):
    return float(learner.objective.alpha(learner))


def drawn(noise):
    return {"target": noise, "actor": noise}


def one_step_batch(actions, reward):
    """Terminal transitions of a game of one step: [1, A, B, 1] actions, [1, B] rewards."""
    batch = actions.shape[2]
    obs, state = torch.zeros(1, 2, batch, 1), torch.zeros(1, batch, 1)
    return Transitions(obs, state, actions, reward, torch.zeros(1, batch), obs, state)


@pytest.mark.parametrize(("run_cost", "rises"), [(4.5, True), (3.5, False)])
def test_run_cost_above_its_budget_raises_alpha_and_below_lowers_it(run_cost, rises):
    learner = learner_of()
    before = alpha_of(learner)
    learner.objective.update_temperature(learner, torch.tensor([run_cost * 2]), torch.tensor([True]))
    assert (alpha_of(learner) > before) is rises


def test_a_fixed_alpha_stays():
    learner = learner_of(entropy__mode="fixed", entropy__alpha=0.01)
    learner.objective.update_temperature(learner, torch.tensor([100.0]), torch.tensor([True]))
    assert alpha_of(learner) == pytest.approx(0.01)


def test_two_agents_commit_to_good_joint_actions_and_do_not_average_them():
    learner = learner_of(
        entropy__mode="fixed", entropy__alpha=0.02, actor__learning_rate=1e-3, critic__learning_rate=1e-3
    )
    gen = torch.Generator().manual_seed(0)
    noise = lambda n: torch.randn(5, 1, 2, n, 1, generator=gen)

    def reward(a):
        corner = lambda sign: ((a - sign * 0.7) ** 2).sum((1, 3))
        return 5 * torch.exp(-4 * torch.minimum(corner(1), corner(-1)))

    for update in range(600):
        uniform = 2 * torch.rand(1, 2, 128, 1, generator=gen) - 1
        own = learner.act(torch.zeros(1, 2, 128, 1), noise(128))
        actions = torch.where(torch.rand(1, 1, 128, 1, generator=gen) < 0.5, uniform, own)
        batch = one_step_batch(actions, reward(actions))
        learner.update_critic(batch, drawn(noise(128)), None, False)
        if update % 3 == 0:
            learner.update_actor(batch, drawn(noise(128)), None)
    actions = learner.act(torch.zeros(1, 2, 1000, 1), noise(1000))
    assert float(reward(actions).mean()) > 3.0
    assert float(reward(torch.zeros(1, 2, 1, 1)).mean()) < 0.2


def test_a_frozen_member_keeps_every_number_while_its_neighbour_learns():
    learner = learner_of(capacity=2)
    before = learner.weights.row(0, learner.config)
    batch = one_step_batch(torch.rand(1, 2, 128, 1), torch.rand(1, 128))
    wide = Transitions(**{k: v.expand(2, *v.shape[1:]) for k, v in vars(batch).items()})
    learning = torch.tensor([False, True])
    for _ in range(3):
        learner.update_critic(wide, drawn(torch.randn(5, 2, 2, 128, 1)), learning, True)
        learner.update_actor(wide, drawn(torch.randn(5, 2, 2, 128, 1)), learning)
    after, other = learner.weights.row(0, learner.config), learner.weights.row(1, learner.config)
    assert all((before[name] == after[name]).all() for name in before)
    assert any((before[name] != other[name]).any() for name in before)


def test_what_is_not_finite_stays_with_the_member_that_has_it():
    learner = learner_of(capacity=2)
    before = learner.weights.row(0, learner.config)
    batch = one_step_batch(torch.rand(1, 2, 128, 1), torch.rand(1, 128))
    wide = Transitions(**{k: v.repeat(2, *(1,) * (v.ndim - 1)) for k, v in vars(batch).items()})
    wide.state[0], wide.reward[0] = torch.inf, torch.nan
    learning = torch.tensor([False, True])
    for _ in range(2):
        learner.update_critic(wide, drawn(torch.randn(5, 2, 2, 128, 1)), learning, True)
        learner.update_actor(wide, drawn(torch.randn(5, 2, 2, 128, 1)), learning)
    after, other = learner.weights.row(0, learner.config), learner.weights.row(1, learner.config)
    assert all((before[name] == after[name]).all() for name in before)
    assert all(np.isfinite(array).all() for array in other.values())


@pytest.mark.parametrize("beta1", [0.5, 0.9])
def test_adam_is_the_published_one_and_counts_each_members_steps(beta1):
    gen = torch.Generator().manual_seed(0)
    start, gradients = torch.randn(2, 3, generator=gen), torch.randn(5, 2, 3, generator=gen)
    ours = {"w": start.clone()}
    adam = Adam(ours, beta1=beta1)
    for g in gradients:
        adam.step([g], torch.tensor([0.1, 0.01]))
    for member, rate in enumerate((0.1, 0.01)):
        theirs = start[member].clone().requires_grad_()
        optimiser = torch.optim.Adam([theirs], lr=rate, betas=(beta1, 0.999))
        for g in gradients:
            theirs.grad = g[member]
            optimiser.step()
        torch.testing.assert_close(ours["w"][member], theirs.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("beta1", [0.5, 0.9])
def test_the_temperature_s_adam_has_a_beta_of_its_own(beta1):
    learner = learner_of(entropy__adam_beta1=beta1)
    costs = (30.0, -10.0, 5.0)
    theirs = learner.own["temperature"]["log_alpha"].clone().requires_grad_()
    optimiser = torch.optim.Adam([theirs], lr=learner.config.entropy.learning_rate, betas=(beta1, 0.999))
    budget = 4.0 * learner.spec.action_dim
    for cost in costs:
        theirs.grad = -theirs.detach().exp() * (cost - budget)
        optimiser.step()
        learner.objective.update_temperature(learner, torch.tensor([cost]), torch.tensor([True]))
    torch.testing.assert_close(learner.own["temperature"]["log_alpha"], theirs.detach(), rtol=1e-6, atol=0)
