"""Two agents with two modes each, paid 1 where both take the same: how the real updates let a common mode grow.

The policies are tables: p_i is the probability of agent i's mode 1, starting just above 1/2. Values are exact and a
step of the policies goes all the way to the minimum of the loss that it is given, so that only an objective's own code
decides. docs/algorithms.md shows the predicted figures beside these.
"""

import math
from types import SimpleNamespace

import pytest
import torch

from omad_core.algorithm.batch import Transitions
from omad_core.algorithm.objectives.catalog import OBJECTIVES
from omad_core.algorithm.objectives.hasac import Hasac
from omad_core.algorithm.objectives.madpmd import Madpmd
from omad_core.algorithm.policies import ddpm
from omad_core.algorithm.policies.diffusion import Draw

ALPHAS = (0.2, 0.45, 0.55)
START, NEAR = (0.55, 0.52), (0.5001, 0.5001)
GRID = 200
"""Candidates are a grid of GRID x GRID quantiles of both agents: frequencies without chance."""


class Tables:
    """Implements `Networks` for members that differ in their temperature; each agent's policy is one probability."""

    def __init__(self, temperatures, start):
        self.capacity, self._numbers = len(temperatures), {"refresh": 1.0}
        self.actor = {"p": torch.tensor([start] * self.capacity, dtype=torch.float64).requires_grad_()}
        logs = torch.tensor(temperatures, dtype=torch.float64).log()
        self.own = {
            "temperature": {"log_alpha": logs, "log_temperature": logs},
            "temperatures": {"log_alpha": logs[:, None].expand(-1, 2)},
            "joint_temperature": {"log_alpha": logs},
            "old_actor": {"p": self.actor["p"].detach().clone()},
        }
        self.spec = SimpleNamespace(agents=("one", "two"), num_agents=2, action_dim=2)
        self.config = SimpleNamespace(madpmd=SimpleNamespace(candidates=GRID**2, chunk=GRID**2))
        self.shape = SimpleNamespace(action_mask=torch.ones(2, 1, dtype=torch.float64))

    def number(self, name):
        return torch.full((self.capacity,), self._numbers.get(name, 0.0), dtype=torch.float64)

    def steps(self, group):
        return torch.ones(self.capacity)

    def step(self, group, gradients, rate, learning):
        """Temperatures are kept."""

    def value(self, state, action, critic=None):
        """Exact, and linear in each agent's action: the value of two probabilities is the expected one."""
        one, two = action[:, 0, :, 0], action[:, 1, :, 0]
        return (one * two + (1.0 - one) * (1.0 - two))[:, None]


class Entropic(Tables):
    """A draw is the whole distribution: its `action` is p_i, its log density the expected one."""

    def _drawn(self, p, rows):
        density = p * p.log() + (1.0 - p) * (1.0 - p).log()
        spread = lambda x: x[:, :, None].repeat(1, 1, rows)
        return Draw(spread(p)[..., None], spread(density), torch.zeros_like(spread(density)))

    def draw(self, obs, noise, actor=None):
        return self._drawn(self.actor["p"], obs.shape[2])

    def draw_one(self, agent, obs, noise):
        return self._drawn(self.actor["p"].gather(1, agent[:, None]), obs.shape[2])

    def step_actor(self, loss, learning, agent=None):
        """To the minimum in p_i: the loss is alpha ( p log p + (1 - p) log(1 - p) ) and something linear in p."""
        (gradient,) = torch.autograd.grad(loss.sum(), [self.actor["p"]])
        alpha = self.own["joint_temperature"]["log_alpha"].exp()[:, None]
        with torch.no_grad():
            best = torch.sigmoid(self.actor["p"].logit() - gradient / alpha)
            ours = True if agent is None else agent[:, None] == torch.arange(2)
            self.actor["p"].copy_(torch.where(torch.as_tensor(ours), best, self.actor["p"]))
        return [gradient]


class Fitted(Tables):
    """Policies fitted to weighted candidates: the mean of a mode's indicator is its probability."""

    def draw(self, obs, noise, actor):
        return SimpleNamespace(action=(noise[0] < actor["p"][:, :, None, None]).double())

    def step_actor(self, loss, learning, agent=None):
        """To the minimum of the sum of w (p - a)^2."""
        (gradient,) = torch.autograd.grad(loss.sum(), [self.actor["p"]])
        with torch.no_grad():
            self.actor["p"] -= 0.5 * gradient
        return [gradient]


@pytest.fixture
def tabular(monkeypatch):
    """A noise network in whose place a table stands: its error is p - a whatever the noise."""
    monkeypatch.setattr(ddpm, "noised", lambda shape, action, share, eps: (action, share))
    guess = lambda actor, shape, obs, action, step: actor["p"][:, :, None, None] - action
    monkeypatch.setattr(ddpm, "predict", guess)


def update(objective, networks, order=(0, 1)):
    """One update of the policies; p_i - 1/2 after it: [P, A]."""
    rows, members = 3, networks.capacity
    obs, state = torch.zeros(members, 2, rows, 1).double(), torch.zeros(members, rows, 1).double()
    batch = Transitions(obs, state, obs, state[..., 0], state[..., 0], obs, state)
    quantiles = (torch.arange(GRID).double() + 0.5) / GRID
    grid = torch.cartesian_prod(quantiles, quantiles).T
    draws = {
        "order": torch.tensor([order] * members),
        "candidates": grid[None, None, :, :, None].expand(1, members, -1, -1, -1),
        "levels": torch.zeros(members, 2, GRID**2),
        "noise": torch.zeros(members, 2, GRID**2, 1).double(),
        **dict.fromkeys(("actor", "own", "others", "again")),
    }
    objective.update_actors(networks, batch, draws, torch.ones(members, dtype=torch.bool))
    return networks.actor["p"].detach() - 0.5


def coordination(objective, networks, updates=300):
    for _ in range(updates):
        update(objective, networks)
    return networks.value(None, networks.actor["p"].detach()[:, :, None, None])[:, 0, 0].tolist()


@pytest.mark.parametrize("algorithm", ["omad", "gaussian"])
def test_at_once_the_common_mode_grows_by_half_the_pay_over_alpha(algorithm):
    networks = Entropic(ALPHAS, NEAR)
    grown = update(OBJECTIVES[algorithm], networks) / 1e-4
    for agent in (0, 1):
        assert grown[:, agent].tolist() == pytest.approx([1.0 / (2.0 * a) for a in ALPHAS], rel=1e-5)


@pytest.mark.parametrize("algorithm", ["omad", "gaussian"])
def test_at_once_they_commit_only_below_half_the_pay(algorithm):
    found = coordination(OBJECTIVES[algorithm], Entropic(ALPHAS, START))
    assert found == pytest.approx([0.986, 0.638, 0.5], abs=5e-4)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_in_sequence_the_first_of_hasac_s_agents_grows_once_and_the_second_twice(order):
    networks = Entropic(ALPHAS, NEAR)
    first = update(Hasac(), networks, order)
    second = update(Hasac(), networks, order)
    g = [1.0 / (2.0 * a) for a in ALPHAS]
    for place, agent in enumerate(order):
        assert (first[:, agent] / 1e-4).tolist() == pytest.approx([x ** (place + 1) for x in g], rel=1e-4)
        assert (second / first)[:, agent].tolist() == pytest.approx([x**2 for x in g], rel=1e-4)


def test_hasac_commits_only_below_half_the_pay():
    assert coordination(Hasac(), Entropic(ALPHAS, START)) == pytest.approx([0.986, 0.638, 0.5], abs=5e-4)


def test_madpmd_s_common_mode_grows_at_every_temperature(tabular):
    temperatures = (0.2, 0.5, 1.0, 5.0)
    grown = update(Madpmd(), Fitted(temperatures, (0.51, 0.51))) / 0.01
    for agent in (0, 1):
        wanted = [1.0 + math.tanh(0.5 / t) for t in temperatures]
        assert grown[:, agent].tolist() == pytest.approx(wanted, rel=5e-4)


def test_madpmd_commits_at_every_temperature(tabular):
    """At T = 5 it ends at .984, where a step is smaller than the distance of two quantiles."""
    found = coordination(Madpmd(), Fitted((0.2, 0.5, 1.0, 5.0), START), updates=80)
    assert found == pytest.approx([1.0, 1.0, 1.0, 0.984], abs=1e-3)
