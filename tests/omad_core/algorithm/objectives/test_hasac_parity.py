"""HASAC's update beside its authors' code: losses, gradients, temperatures and target critics.

For given weights, batch and noise. `data/harl-hasac` has the numbers, `support/harl_hasac.py` made them.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from omad_core.algorithm.batch import Transitions
from omad_core.algorithm.learner import Learner
from omad_core.config import default_config
from omad_core.settings import replace
from omad_core.task import TaskSpec

DATA = json.loads((Path(__file__).parents[3] / "data" / "harl-hasac" / "expected.json").read_text())
AGENTS, DIMS = ("first", "second", "third"), (2, 1, 3)
CLOSE = {"rtol": 1e-4, "atol": 1e-6}


def tensor(values):
    return torch.tensor(np.asarray(values, np.float32))


def turned(values):
    """A weight of theirs, [outputs, inputs], as ours; a bias as it is."""
    return tensor(np.transpose(values))


def critic_of(theirs):
    """A critic of theirs as one of ours."""
    pairs = {"hidden.1": "mlp.mlp.0", "hidden.2": "mlp.mlp.2", "last": "mlp.mlp.4"}
    return {
        f"{ours}.{kind}": turned(theirs[f"{name}.{kind}"])
        for ours, name in pairs.items()
        for kind in ("weight", "bias")
    }


def actor_of(theirs, padding):
    """An actor of theirs as one of ours, which is as wide as the widest agent's."""
    made = {}
    for kind in ("weight", "bias"):
        for layer, name in ((0, "net.mlp.0"), (1, "net.mlp.2")):
            made[f"hidden.{layer}.{kind}"] = turned(theirs[f"{name}.{kind}"])
        heads = [turned(theirs[f"{name}.{kind}"]) for name in ("mu_layer", "log_std_layer")]
        wide = [
            torch.nn.functional.pad(head, (0, max(DIMS) - head.shape[-1]), value=padding) for head in heads
        ]
        made[f"last.{kind}"] = torch.cat(wide, -1)
    return made


def put(ours, number, values):
    assert ours.keys() == values.keys()
    for name, value in values.items():
        ours[name][0, number] = value


@pytest.fixture(scope="module")
def learner():
    """After one update of critics and actors."""
    low, high = (tuple((end,) * d for d in DIMS) for end in (-1.0, 1.0))
    spec = TaskSpec("toy", "toy", {}, AGENTS, (4,) * len(DIMS), DIMS, low, high, 5, 10, True)
    sizes = {"actor.hidden_width": 8, "critic.hidden_width": 8, "batch_size": 6}
    config = replace(default_config("hopper", "hasac"), sizes | DATA["settings"])
    made = Learner(spec, config, 1, torch.device("cpu"), 1)
    with torch.no_grad():
        for agent, theirs in enumerate(DATA["weights"]["actors"]):
            put(made.actor, agent, actor_of(theirs, padding=0.5))
        for ours, name in ((made.critic, "critics"), (made.own["target_critic"], "targets")):
            for number, theirs in enumerate(DATA["weights"][name]):
                put(ours, number, critic_of(theirs))
        made.own["temperatures"]["log_alpha"].copy_(tensor(DATA["alphas"]).log())
        made.own["joint_temperature"]["log_alpha"].fill_(np.log(DATA["joint_alpha"]))
    batch = {name: tensor(values)[None] for name, values in DATA["batch"].items()}
    discount = (batch["gamma"] * (1.0 - batch["term"]))[..., 0]
    transitions = Transitions(
        batch["obs"], batch["state"], batch["action"], batch["reward"][..., 0], discount,
        batch["next_obs"], batch["next_state"],
    )  # fmt: skip
    draws = {name: tensor(values)[None, None] for name, values in DATA["draws"].items()}
    draws["order"] = torch.tensor([DATA["order"]])
    made.update_critic(transitions, draws, None, measure=True)
    made.update_actor(transitions, draws, None)
    return made


@pytest.fixture(scope="module")
def said(learner):
    """What the update measured."""
    sums = learner.measures.tensors["sums"][0].tolist()
    return dict(zip(learner.measures.names, sums, strict=True))


def gradients(learner, group, number):
    """What the first step of Adam was made of."""
    return {
        name: moment[0, number] / (1.0 - 0.9) for name, moment in learner.weights.adams[group].first.items()
    }


def temperatures(tensors):
    """Of each agent, then of all together."""
    return torch.cat([tensors[name]["log_alpha"].flatten() for name in ("temperatures", "joint_temperature")])


def their_temperatures(of):
    return tensor([*of["log_alphas"], of["joint_log_alpha"]])


def test_critics_have_the_gradients_of_the_authors_code(learner):
    for number, theirs in enumerate(DATA["gradients"]["critics"]):
        torch.testing.assert_close(gradients(learner, "critic", number), critic_of(theirs), **CLOSE)


def test_each_agent_has_the_gradient_of_the_authors_code(learner):
    for agent, theirs in enumerate(DATA["gradients"]["actors"]):
        torch.testing.assert_close(gradients(learner, "actor", agent), actor_of(theirs, padding=0.0), **CLOSE)


def test_temperatures_have_the_gradients_and_losses_of_the_authors_code(learner):
    ours = temperatures({name: adam.first for name, adam in learner.weights.adams.items()}) / (1.0 - 0.9)
    torch.testing.assert_close(ours, their_temperatures(DATA["gradients"]), **CLOSE)
    losses = ours * tensor([*DATA["alphas"], DATA["joint_alpha"]]).log()
    in_order, joint = DATA["losses"]["temperatures_in_order"], DATA["losses"]["joint_temperature"]
    torch.testing.assert_close(losses[[*DATA["order"], -1]], tensor([*in_order, joint]), **CLOSE)


def test_temperatures_step_as_in_the_authors_code(learner, said):
    after = their_temperatures(DATA["after"])
    torch.testing.assert_close(temperatures(learner.own), after, **CLOSE)
    measured = tensor([said[name] for name in (*(f"alpha_{agent}" for agent in AGENTS), "alpha")])
    torch.testing.assert_close(measured, after.exp(), **CLOSE)


def test_target_critics_follow_as_in_the_authors_code(learner):
    ours = learner.own["target_critic"]
    for number, theirs in enumerate(DATA["after"]["targets"]):
        followed = {name: value[0, number] for name, value in ours.items()}
        torch.testing.assert_close(followed, critic_of(theirs), **CLOSE)


def test_losses_are_those_of_the_authors_code(said):
    assert said["critic_loss"] == pytest.approx(DATA["losses"]["critics"], rel=1e-5)
    assert said["actor_loss"] == pytest.approx(sum(DATA["losses"]["actors_in_order"]), rel=1e-5)
