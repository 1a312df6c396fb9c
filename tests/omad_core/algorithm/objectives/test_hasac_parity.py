"""HASAC's update beside its authors' code: losses and gradients for given weights, batch and noise.

`data/harl-hasac` has the numbers, `support/harl_hasac.py` made them.
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
DIMS = (2, 1)
CLOSE = {"rtol": 1e-4, "atol": 1e-6}


def tensor(values):
    return torch.tensor(np.asarray(values, np.float32))[None]


@pytest.fixture(scope="module")
def learner():
    """After one update of critics and actors."""
    agents, box = ("first", "second"), tuple((1.0,) * d for d in DIMS)
    low = tuple((-1.0,) * d for d in DIMS)
    spec = TaskSpec("toy", "toy", {}, agents, (4, 4), DIMS, low, box, 5, 10, True)
    sizes = {"actor.hidden_width": 8, "critic.hidden_width": 8, "batch_size": 6}
    config = replace(default_config("hopper", "hasac"), sizes)
    made = Learner(spec, config, 1, torch.device("cpu"), 1)
    with torch.no_grad():
        for agent, theirs in enumerate(DATA["weights"]["actors"]):
            for layer, name in ((0, "net.mlp.0"), (1, "net.mlp.2")):
                made.actor[f"hidden.{layer}.weight"][0, agent] = tensor(theirs[f"{name}.weight"])[0].T
                made.actor[f"hidden.{layer}.bias"][0, agent] = tensor(theirs[f"{name}.bias"])[0]
            for at, name in ((0, "mu_layer"), (2, "log_std_layer")):
                columns = slice(at, at + DIMS[agent])
                made.actor["last.weight"][0, agent][:, columns] = tensor(theirs[f"{name}.weight"])[0].T
                made.actor["last.bias"][0, agent][columns] = tensor(theirs[f"{name}.bias"])[0]
        for number, theirs in enumerate(DATA["weights"]["critics"]):
            for layer, name in (("hidden.1", "mlp.mlp.0"), ("hidden.2", "mlp.mlp.2"), ("last", "mlp.mlp.4")):
                made.critic[f"{layer}.weight"][0, number] = tensor(theirs[f"{name}.weight"])[0].T
                made.critic[f"{layer}.bias"][0, number] = tensor(theirs[f"{name}.bias"])[0]
        for name, value in made.critic.items():
            made.own["target_critic"][name].copy_(0.5 * value)
    batch = {name: tensor(values) for name, values in DATA["batch"].items()}
    discount = (batch["gamma"] * (1.0 - batch["term"]))[..., 0]
    transitions = Transitions(
        batch["obs"], batch["state"], batch["action"], batch["reward"][..., 0], discount,
        batch["next_obs"], batch["next_state"],
    )  # fmt: skip
    draws = {name: tensor(values)[None] for name, values in DATA["draws"].items()}
    draws["order"] = torch.tensor([DATA["order"]])
    made.update_critic(transitions, draws, None, measure=True)
    made.update_actor(transitions, draws, None)
    return made


def gradient(learner, group, name):
    """What the first step of Adam was made of."""
    return learner.weights.adams[group].first[name][0] / (1.0 - 0.9)


def test_critics_have_the_gradients_of_the_authors_code(learner):
    for number, theirs in enumerate(DATA["gradients"]["critics"]):
        for layer, name in (("hidden.1", "mlp.mlp.0"), ("hidden.2", "mlp.mlp.2"), ("last", "mlp.mlp.4")):
            ours = gradient(learner, "critic", f"{layer}.weight")[number]
            torch.testing.assert_close(ours, tensor(theirs[f"{name}.weight"])[0].T, **CLOSE)
            bias = gradient(learner, "critic", f"{layer}.bias")[number]
            torch.testing.assert_close(bias, tensor(theirs[f"{name}.bias"])[0], **CLOSE)


def test_each_agent_has_the_gradient_of_the_authors_code(learner):
    for agent, theirs in enumerate(DATA["gradients"]["actors"]):
        for layer, name in ((0, "net.mlp.0"), (1, "net.mlp.2")):
            ours = gradient(learner, "actor", f"hidden.{layer}.weight")[agent]
            torch.testing.assert_close(ours, tensor(theirs[f"{name}.weight"])[0].T, **CLOSE)
        last = gradient(learner, "actor", "last.weight")[agent]
        for at, name in ((0, "mu_layer"), (2, "log_std_layer")):
            ours = last[:, at : at + DIMS[agent]]
            torch.testing.assert_close(ours, tensor(theirs[f"{name}.weight"])[0].T, **CLOSE)


def test_temperatures_have_the_gradients_of_the_authors_code(learner):
    each = gradient(learner, "temperatures", "log_alpha")
    torch.testing.assert_close(each, tensor(DATA["gradients"]["log_alphas"])[0], **CLOSE)
    joint = gradient(learner, "joint_temperature", "log_alpha")
    assert joint.item() == pytest.approx(DATA["gradients"]["joint_log_alpha"], rel=1e-4)


def test_losses_are_those_of_the_authors_code(learner):
    said = dict(zip(learner.measures.names, learner.measures.tensors["sums"][0].tolist(), strict=True))
    assert said["critic_loss"] == pytest.approx(DATA["losses"]["critics"], rel=1e-5)
    assert said["actor_loss"] == pytest.approx(sum(DATA["losses"]["actors_in_order"]), rel=1e-5)
