"""Parity with DIME's own functions in float64, for one agent: `data/dime/make_reference.txt` made the numbers.

Known and left: flax's GELU is the tanh form, ours and here theirs the exact one; a learned phase of the time features
(here without gradient); BatchRenorm's epsilon after the warm-up; a clip of the drift at 1e4.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from omad_core.algorithm.batch import Transitions
from omad_core.algorithm.critics import critic as critics
from omad_core.algorithm.learner import Learner
from omad_core.algorithm.policies import denoiser, diffusion
from omad_core.config import TrainConfig
from omad_core.nn.batch_renorm import fold
from omad_core.settings import replace
from omad_core.task import TaskSpec

DATA = dict(np.load(Path(__file__).parents[2] / "data" / "dime" / "reference.npz"))
ABOUT = json.loads(str(DATA.pop("about")))
SET = ABOUT["settings"]
NET = "params/fwd_params/params"
LAYERS = {
    "time.0": "time_coder_state/layers_0",
    "time.1": "time_coder_state/layers_2",
    "hidden.1": "state_time_net/layers_1/layers_0",
    "hidden.2": "state_time_net/layers_2/layers_0",
    "last": "state_time_net/layers_3",
}
CRITIC = {"hidden.1": "Dense_0", "hidden.2": "Dense_1", "last": "Dense_2"}


@pytest.fixture(autouse=True)
def double(monkeypatch):
    """Float64 throughout, and as many frequencies as their small network has."""

    def features(steps, device):
        frequency = torch.linspace(0.1, 100.0, SET["hidden"])
        phase = torch.arange(steps)[:, None] * frequency
        return torch.cat([phase.sin(), phase.cos()], dim=1)

    torch.set_default_dtype(torch.float64)
    monkeypatch.setattr(denoiser, "TIME_FREQUENCIES", SET["hidden"])
    monkeypatch.setattr(diffusion, "time_features", features)
    yield
    torch.set_default_dtype(torch.float32)


def theirs(name):
    return torch.from_numpy(DATA[name])


def actor_of(group):
    """Their actor under our names: [1, ...]."""
    found = {}
    for ours, name in LAYERS.items():
        found[f"{ours}.weight"] = theirs(f"{group}/{NET}/{name}/kernel")[None]
        found[f"{ours}.bias"] = theirs(f"{group}/{NET}/{name}/bias")[None]
    joined = theirs(f"{group}/{NET}/state_time_net/layers_0/layers_0/kernel")[None]
    found |= {"join.x": joined[:, :2], "join.obs": joined[:, 2:5], "join.time": joined[:, 5:]}
    found["join.bias"] = theirs(f"{group}/{NET}/state_time_net/layers_0/layers_0/bias")[None]
    found["raw_dt"] = theirs(f"{group}/params/dt")[None]
    found["raw_friction"] = theirs(f"{group}/params/friction")[None]
    return found


def critic_of(group):
    """Their two critics under our names: [2, ...]."""
    found = {}
    for ours, name in CRITIC.items():
        found[f"{ours}.weight"] = theirs(f"{group}/VmapCritic_0/{name}/kernel")
        found[f"{ours}.bias"] = theirs(f"{group}/VmapCritic_0/{name}/bias")
    for layer in range(3):
        found[f"norm.{layer}.scale"] = theirs(f"{group}/VmapCritic_0/BatchRenorm_{layer}/scale")
        found[f"norm.{layer}.shift"] = theirs(f"{group}/VmapCritic_0/BatchRenorm_{layer}/bias")
    return found


def statistics_of(group):
    return {
        f"norm.{layer}.{kind}": theirs(f"{group}/VmapCritic_0/BatchRenorm_{layer}/{kind}")
        for layer in range(3)
        for kind in ("mean", "var")
    }


def close(ours, wanted, tolerance):
    torch.testing.assert_close(ours.detach(), wanted, rtol=tolerance, atol=tolerance)


def one(params):
    return {name: tensor[None].clone() for name, tensor in params.items()}


@pytest.fixture
def learner():
    box = ((-1.0, -1.0),), ((1.0, 1.0),)
    spec = TaskSpec("toy", "toy", {}, ("one",), (3,), (2,), *box, 3, 10, True)
    config = replace(
        TrainConfig(),
        {
            "actor.denoising_steps": SET["steps"],
            "actor.hidden_width": SET["hidden"],
            "actor.learning_rate": SET["rate"],
            "critic.head": "categorical",
            "critic.categories": SET["atoms"],
            "critic.v_max": SET["v_max"],
            "critic.hidden_width": SET["critic"],
            "critic.learning_rate": SET["rate"],
            "gamma": SET["gamma"],
            "batch_size": DATA["batch/reward"].shape[1],
        },
    )
    learner = Learner(spec, config, 1, torch.device("cpu"), 1)
    for mine, values in (
        (learner.actor, actor_of("actor")),
        (learner.critic, critic_of("critic")),
        (learner.statistics, statistics_of("statistics")),
    ):
        assert mine.keys() == values.keys()
        with torch.no_grad():
            for name, tensor in mine.items():
                tensor[0].copy_(values[name])
    return learner


@pytest.mark.parametrize("steps", [4, 8, 16])
def test_the_schedule_of_step_sizes(steps):
    params = {"raw_dt": torch.zeros(1, 1, 1), "raw_friction": torch.zeros(1, 1, 1)}
    eta = diffusion.step_sizes(params, torch.tensor([float(steps)]), steps)
    close(eta.flatten(), theirs(f"schedule/{steps}"), 1e-15)


def test_the_chain_and_its_costs(learner):
    eta = diffusion.step_sizes(learner.actor, torch.tensor([float(SET["steps"])]), SET["steps"])
    close(eta[0, 0], theirs("chain/eta"), 1e-15)
    obs, noise = theirs("chain/obs")[None, None], theirs("chain/noise")[:, None, None]
    drawn = learner.draw(obs, noise)
    close(drawn.action[0, 0], theirs("chain/action"), 1e-13)
    close(drawn.cost[0, 0], theirs("chain/run_cost"), 1e-12)
    close(drawn.prior[0, 0], theirs("chain/prior"), 1e-13)


def test_the_critic_in_both_modes_and_its_statistics(learner):
    joint = torch.cat([theirs("critic_in/obs"), theirs("critic_in/action")], 1)[None]
    out = critics.evaluate(learner.critic, learner.statistics, joint)
    close(torch.softmax(out[0], -1), theirs("critic_out/evaluation"), 1e-13)
    out, batches = critics.train(learner.critic, learner.statistics, joint, torch.tensor([False]))
    close(torch.softmax(out[0], -1), theirs("critic_out/training"), 1e-13)
    fold(learner.statistics, batches, torch.tensor([True]))
    for name, wanted in statistics_of("critic_out/statistics").items():
        close(learner.statistics[name][0], wanted, 1e-13)


def test_whole_updates_of_critics_actor_and_temperature(learner):
    done = theirs("batch/done")
    updates, losses = len(done), theirs("updates/losses")
    for update in range(updates):
        batch = Transitions(
            obs=theirs("batch/obs")[update][None, None],
            state=theirs("batch/obs")[update][None],
            action=theirs("batch/action")[update][None, None],
            reward=theirs("batch/reward")[update][None],
            discount=(SET["gamma"] * (1.0 - done[update]))[None],
            next_obs=theirs("batch/next_obs")[update][None, None],
            next_state=theirs("batch/next_obs")[update][None],
        )
        acts = (update + 1) % SET["delay"] == 0
        draws = {"target": theirs("noise/target")[update][:, None, None]}
        learner.measures.clear(0)
        learner.update_critic(batch, draws, None, True)
        close(learner.measures.tensors["sums"][0, 0], losses[update, 0], 1e-8)
        if acts:
            draws["actor"] = theirs("noise/actor")[update // SET["delay"]][:, None, None]
            learner.update_actor(batch, draws, None)
            said = learner.measures.read(0)
            assert said["train/actor_loss"] == pytest.approx(float(losses[update, 1]), rel=1e-8)
        close(learner.own["temperature"]["log_alpha"][0], losses[update, 2], 4e-9)
    for name, wanted in actor_of("actor_after").items():
        close(learner.actor[name][0], wanted, 1e-7)
    for name, wanted in critic_of("critic_after").items():
        close(learner.critic[name][0], wanted, 1e-7)
    for name, wanted in statistics_of("statistics_after").items():
        close(learner.statistics[name][0], wanted, 1e-7)
