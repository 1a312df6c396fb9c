"""Two agents and two modes at -1/2 and 1/2, with small networks: every part is the real one but the value.

The learner is told the value of a joint action exactly, so that only policies and their updates decide. Three members
of seeds 0, 1 and 2 learn together; draws come from seed 0, what is measured from seed 99. Figures of trained networks
differ a little between machines: docs/algorithms.md shows them rounded, the tests hold what they must stay above.
"""

import math

import pytest
import torch

from omad_core.algorithm.batch import Transitions
from omad_core.algorithm.learner import Learner
from omad_core.algorithm.policies import ddpm
from omad_core.config import default_config
from omad_core.rng.draw_blocks import draw
from omad_core.settings import replace
from omad_core.task import TaskSpec

MODE, WIDTH, WIDE = 0.5, 0.15, 0.3
SEEDS = (0, 1, 2)
SPEC = TaskSpec("toy", "toy", {}, ("one", "two"), (1, 1), (1, 1), ((-1.0,),) * 2, ((1.0,),) * 2, 1, 1, True)


def bump(action, mode, width):
    return torch.exp(-(action - mode).square() / (2.0 * width**2))


def apart(state, action):
    """f(a_1) + f(a_2), f(a) = -(4 a^2 - 1)^2: two equal modes for each agent, whatever the other does."""
    return -(4.0 * action.square() - 1.0).square().sum((1, 3))


def told(state, action):
    """Pay, at most 1, in the mode that the bit in the state names."""
    return bump(action, MODE * state[:, None], WIDE).prod(1)[..., 0]


def common(state, action):
    """Pay, at most 1, where both agents take the same mode: the game of a table's two modes made continuous."""
    return sum(bump(action, mode, WIDTH).prod(1)[..., 0] for mode in (-MODE, MODE))


SMALL = {
    "actor.hidden_width": 32,
    "actor.learning_rate": 2e-2,
    "critic.hidden_width": 8,
    "batch_size": 128,
    "entropy.mode": "fixed",
}
OWN = {
    "omad": {"actor.denoising_steps": 8, "actor.activation": "relu", "actor.sigma0": 0.6},
    "gaussian": {},
    "hasac": {},
    "madpmd": {
        "actor.denoising_steps": 8,
        "actor.hidden_layers": 2,
        "actor.learning_rate": 3e-3,
        "madpmd.chunk": 32,
        "madpmd.states": 32,
        "madpmd.refresh": 20,
        "madpmd.learning_rate": 0.0,
    },
}
TEMPERATURE = {"madpmd": "madpmd.temperature"}
NARROW = {"actor.sigma0": 1.0, "actor.diffusion_time": 0.4, "actor.learning_rate": 1e-2}
"""Of `omad`: a chain whose steps are small from the start finds narrow modes sooner."""


class Told(Learner):
    """A learner whose objective asks a game for values, not critics."""

    def value(self, state, action, critic=None):
        return self.game(state, action)[:, None]


def learner_of(game, algorithm, temperature, **changes):
    values = SMALL | OWN[algorithm] | {TEMPERATURE.get(algorithm, "entropy.alpha"): temperature, **changes}
    base = replace(default_config("hopper", algorithm), values)
    members = [replace(base, {"seed": seed}) for seed in SEEDS]
    learner = Told(SPEC, base, len(members), torch.device("cpu"), base.critic.quantiles)
    for lane, config in enumerate(members):
        learner.start(lane, config)
    learner.set_present(members)
    learner.game = game
    return learner


def states_of(learner, rows, gen):
    """What state and observations have, 0 or where the game tells one a bit, -1 or 1: [P, B, 1] and [P, A, B, 1]."""
    state = torch.zeros(learner.capacity, rows, 1)
    if learner.game is told:
        state = 2.0 * torch.randint(0, 2, state.shape, generator=gen) - 1.0
    return state, state[:, None].expand(-1, 2, -1, -1)


def trained(learner, updates):
    """Updates of the policies alone, with the draws that their objective declares."""
    gen, config = torch.Generator().manual_seed(0), learner.config
    specs = {name: spec for name, spec in learner.objective.draws.items() if spec.update == "actor"}
    for _ in range(updates):
        state, obs = states_of(learner, config.batch_size, gen)
        size = lambda name, spec: (*((learner.rows[name],) if spec.rows else ()), learner.capacity)
        draws = {
            name: draw(spec.kind, (*size(name, spec), *spec.shape(SPEC, config)), gen)
            for name, spec in specs.items()
        }
        nothing = state[..., 0]
        learner.update_actor(Transitions(obs, state, obs, nothing, nothing, obs, state), draws, None)
    return learner


def played(learner, rows=2_000):
    """States [P, B, 1] and what the policies do there [P, A, B, 1]."""
    gen = torch.Generator().manual_seed(99)
    state, obs = states_of(learner, rows, gen)
    noise = torch.randn(learner.most_noises, learner.capacity, 2, rows, 1, generator=gen)
    return state, learner.act(obs, noise)


def pay(learner):
    """[P]"""
    return learner.game(*played(learner)).mean(1)


def shares(learner):
    """Of each policy's actions, the share in its rarer mode and that in either, a quarter around: [P, A] each."""
    _, action = played(learner)
    low, high = (((action - mode).abs() < 0.25).float().mean((2, 3)) for mode in (-MODE, MODE))
    return torch.minimum(low, high), low + high


def agreement(learner):
    """Share of joint actions in which both agents take the same mode, a quarter around it: [P]."""
    _, action = played(learner)
    return sum(((action - mode).abs() < 0.25).all(1).float().mean((1, 2)) for mode in (-MODE, MODE))


def normal_below(x):
    return 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))


def shares_of_gaussians(means, deviations):
    """As `shares`, exactly, of squashed Gaussians of these means and standard deviations."""
    within = lambda low, high: (
        normal_below((math.atanh(high) - means) / deviations)
        - normal_below((math.atanh(low) - means) / deviations)
    )
    low, high = within(-0.75, -0.25), within(0.25, 0.75)
    return torch.minimum(low, high), low + high


@pytest.mark.slow
def test_omad_keeps_both_modes_where_agents_are_apart():
    rarer, either = shares(trained(learner_of(apart, "omad", 0.1), 450))
    assert float(rarer.min()) > 0.2
    assert float(either.min()) > 0.7


def test_no_squashed_gaussian_has_both_modes():
    """One that has a fifth in each is spread between and beyond them too."""
    means, deviations = torch.meshgrid(
        torch.linspace(-2.0, 2.0, 401).double(), torch.logspace(-2.0, 1.0, 301).double(), indexing="ij"
    )
    rarer, either = shares_of_gaussians(means, deviations)
    assert float(either[rarer > 0.2].max()) == pytest.approx(0.567, abs=1e-3)


@pytest.mark.parametrize(("algorithm", "updates"), [("gaussian", 200), ("hasac", 300)])
def test_a_gaussian_takes_one_mode_or_spreads_where_agents_are_apart(algorithm, updates):
    rarer, either = shares(trained(learner_of(apart, algorithm, 0.02), updates))
    assert not bool(((rarer > 0.2) & (either > 0.65)).any())


@pytest.mark.parametrize(("steps", "ratio"), [(8, 0.571), (20, 0.703), (64, 0.808)])
def test_madpmd_s_draws_are_narrower_than_what_they_are_fitted_to(steps, ratio, monkeypatch):
    """With the exact noise network of a Gaussian of .3: the chain has few steps, and adds the posterior's variance."""
    kept = ddpm.schedule(torch.tensor([float(steps)]), steps)[0]
    exact = lambda prepared, x, s: (1.0 - kept[s]).sqrt() * x / (kept[s] * 0.3**2 + 1.0 - kept[s])
    monkeypatch.setattr(ddpm, "drift", exact)
    learner = learner_of(apart, "madpmd", 1.0, **{"actor.denoising_steps": steps})
    _, action = played(learner, 20_000)
    assert float(action.std()) / 0.3 == pytest.approx(ratio, abs=0.01)


def test_madpmd_loses_a_mode_where_agents_are_apart():
    """The exact map would keep both: what the draws lose is not won back."""
    rarer, _ = shares(trained(learner_of(apart, "madpmd", 1.0, **{"madpmd.states": 8}), 100))
    assert float(rarer.max()) < 0.15


def test_madpmd_narrows_where_nothing_is_to_be_gained():
    """T is so high that all candidates weigh the same: five times fitted to its own draws, it keeps a quarter."""
    learner = learner_of(apart, "madpmd", 1e5, **{"madpmd.states": 8})
    first = played(learner)[1].std((2, 3))
    assert float((played(trained(learner, 100))[1].std((2, 3)) / first).max()) < 0.4


@pytest.mark.parametrize(
    ("algorithm", "temperature", "updates", "least"),
    [
        ("omad", 0.01, 150, 0.8),
        ("gaussian", 0.01, 100, 0.9),
        ("hasac", 0.01, 200, 0.9),
        ("madpmd", 0.1, 200, 0.8),
    ],
)
def test_told_the_mode_every_algorithm_takes_it(algorithm, temperature, updates, least):
    changes = {"madpmd.states": 16} if algorithm == "madpmd" else {}
    assert float(pay(trained(learner_of(told, algorithm, temperature, **changes), updates)).min()) > least


def test_independent_halves_earn_half_of_what_is_common_and_the_middle_nothing():
    halves = torch.tensor([[-MODE, -MODE], [-MODE, MODE], [MODE, -MODE], [MODE, MODE]])
    assert float(common(None, halves.T[None, ..., None]).mean()) == pytest.approx(0.5, abs=1e-4)
    assert float(common(None, torch.zeros(1, 2, 1, 1))) == pytest.approx(3e-5, rel=0.01)


def test_the_exact_map_scores_what_was_calculated():
    """p_i ~ exp( E Q / alpha ) in turn, from a start to one side, on a grid of actions."""
    grid = torch.linspace(-1.0, 1.0, 401).double()
    pays = common(None, torch.stack(torch.meshgrid(grid, grid, indexing="ij")).flatten(1)[None, ..., None])
    pays, found = pays.view(401, 401), []
    for alpha in (0.05, 0.1, 0.2, 0.3):
        one = two = torch.softmax(grid, 0)
        for _ in range(200):
            one = torch.softmax(pays @ two / alpha, 0)
            two = torch.softmax(one @ pays / alpha, 0)
        found.append(float(one @ pays @ two))
    assert found == pytest.approx([0.95, 0.88, 0.44, 0.12], abs=0.01)


@pytest.mark.parametrize(
    ("algorithm", "temperature", "updates", "least"),
    [
        ("omad", 0.005, 250, 0.75),
        ("gaussian", 0.01, 100, 0.9),
        ("hasac", 0.01, 300, 0.9),
        pytest.param("madpmd", 0.05, 200, 0.4, marks=pytest.mark.slow),
    ],
)
def test_at_a_low_temperature_every_team_commits(algorithm, temperature, updates, least):
    learner = learner_of(common, algorithm, temperature, **(NARROW if algorithm == "omad" else {}))
    assert float(agreement(trained(learner, updates)).min()) > 0.9
    assert float(pay(learner).min()) > least
