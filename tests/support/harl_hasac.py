"""Numbers of HASAC's own code for test_hasac_parity.py: `python tests/support/harl_hasac.py FOLDER_OF_HARL`.

FOLDER_OF_HARL: PKU-MARL/HARL at d539bad20f67. One `train` of its runner: two agents with 2 and 1 action dimensions, the
second one first. What is drawn from normal distributions is prepared here, in the order in which that code asks for it.
"""

# ruff: noqa: E402
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import torch

sys.path.insert(0, sys.argv[1])
for absent in ("harl.envs", "harl.envs.env_wrappers", "gym", "gym.spaces"):
    sys.modules[absent] = MagicMock()
base = ModuleType("harl.runners.off_policy_base_runner")
base.OffPolicyBaseRunner = object
sys.modules["harl.runners.off_policy_base_runner"] = base
package = ModuleType("harl.runners")
package.__path__ = [str(Path(sys.argv[1]) / "harl" / "runners")]
sys.modules["harl.runners"] = package

import harl.algorithms.critics.soft_twin_continuous_q_critic as module
from harl.algorithms.actors.hasac import HASAC
from harl.algorithms.critics.soft_twin_continuous_q_critic import SoftTwinContinuousQCritic
from harl.runners.off_policy_ha_runner import OffPolicyHARunner

A, B, OBS, S, DIMS, WIDTH = 2, 6, 4, 5, (2, 1), 8


class Box:
    def __init__(self, width):
        self.shape, self.high, self.low = (width,), np.ones(width), -np.ones(width)


torch.manual_seed(0)
rng = np.random.default_rng(0)
args = {
    "polyak": 0.005,
    "lr": 1e-3,
    "critic_lr": 1e-3,
    "hidden_sizes": [WIDTH, WIDTH],
    "activation_func": "relu",
    "final_activation_func": "relu",
    "gamma": 0.99,
    "use_proper_time_limits": True,
    "auto_alpha": True,
    "alpha_lr": 3e-4,
    "use_policy_active_masks": False,
    "use_huber_loss": False,
    "huber_delta": 10.0,
}
actors = [HASAC(args, Box(OBS), Box(d)) for d in DIMS]
critic = SoftTwinContinuousQCritic(args, Box(S), [Box(d) for d in DIMS], A, "EP")


def rounded(values):
    return np.asarray(values, np.float32)


draws = {name: rounded(rng.normal(size=(A, B, 2))) for name in ("target", "others", "own", "again")}
order = [1, 0]
queue = [draws["target"][i, :, :d] for i, d in enumerate(DIMS)] + [
    draws["others"][i, :, :d] for i, d in enumerate(DIMS)
]
for agent in order:
    queue += [draws[name][agent, :, : DIMS[agent]] for name in ("own", "again")]
torch.distributions.Normal.rsample = lambda self, shape=(): self.loc + self.scale * torch.tensor(queue.pop(0))
np.random.permutation = lambda n: np.array(order)
batch = {
    "state": rounded(rng.normal(size=(B, S))),
    "obs": rounded(rng.normal(size=(A, B, OBS))),
    "action": rounded(rng.uniform(-1, 1, (A, B, 2))),
    "reward": rounded(rng.normal(size=(B, 1))),
    "term": rounded(rng.random((B, 1)) < 0.3),
    "next_state": rounded(rng.normal(size=(B, S))),
    "next_obs": rounded(rng.normal(size=(A, B, OBS))),
    "gamma": rounded(np.full((B, 1), 0.99**3)),
}
weights = {
    "actors": [{k: v.tolist() for k, v in actor.actor.state_dict().items()} for actor in actors],
    "critics": [
        {k: v.tolist() for k, v in net.state_dict().items()} for net in (critic.critic, critic.critic2)
    ],
}
with torch.no_grad():  # other ones than the live networks
    for net in (critic.target_critic, critic.target_critic2):
        for parameter in net.parameters():
            parameter.mul_(0.5)
log_alphas = [torch.zeros(1, requires_grad=True) for _ in range(A)]
ones = np.ones((A, B, 1), np.float32)
action = [batch["action"][i, :, :d] for i, d in enumerate(DIMS)]


def patched_check(value):
    return value if isinstance(value, torch.Tensor) else torch.from_numpy(np.asarray(value))


joint = np.empty(A, object)
for i in range(A):
    joint[i] = torch.from_numpy(action[i])


class Listed(list):
    shape = (A,)

    def to(self, **kwargs):
        return self


module.check = lambda value: Listed(value) if value is joint else patched_check(value)
runner = SimpleNamespace(
    total_it=0,
    policy_freq=1,
    num_agents=A,
    fixed_order=False,
    state_type="EP",
    device=torch.device("cpu"),
    args={"algo": "hasac"},
    algo_args={"algo": {"use_policy_active_masks": False, "auto_alpha": True}},
    actor=actors,
    critic=critic,
    value_normalizer=None,
    alpha=[torch.ones(1)] * A,
    log_alpha=log_alphas,
    alpha_optimizer=[torch.optim.Adam([each], lr=3e-4) for each in log_alphas],
    target_entropy=[-float(d) for d in DIMS],
    buffer=SimpleNamespace(
        sample=lambda: (
            batch["state"],
            batch["obs"],
            joint,
            None,
            batch["reward"],
            batch["term"],
            ones,
            batch["term"],
            batch["next_state"],
            batch["next_obs"],
            None,
            batch["gamma"],
        )
    ),
)
losses = []
backward = torch.Tensor.backward


def recorded(self, *args, **kwargs):
    losses.append(self.item())
    return backward(self, *args, **kwargs)


torch.Tensor.backward = recorded
OffPolicyHARunner.train(runner)
assert not queue
critic_loss, *each, _ = losses  # an agent's: its actor's, then its temperature's, which is 0 as log alpha is
found = {
    "actors": [{k: v.grad.tolist() for k, v in actor.actor.named_parameters()} for actor in actors],
    "critics": [
        {k: v.grad.tolist() for k, v in net.named_parameters()} for net in (critic.critic, critic.critic2)
    ],
    "log_alphas": [each.grad.item() for each in log_alphas],
    "joint_log_alpha": critic.log_alpha.grad.item(),
}
document = {
    "made_with": {
        "command": "python tests/support/harl_hasac.py FOLDER_OF_HARL",
        "HARL": "d539bad20f677bc4ce9fa200fa5de31b5f0b9d37",
        "torch": torch.__version__,
        "numpy": np.__version__,
    },
    "order": order,
    "weights": weights,
    "losses": {"critics": critic_loss, "actors_in_order": each[::2]},
    "gradients": found,
    "batch": {k: v.tolist() for k, v in batch.items()},
    "draws": {k: v.tolist() for k, v in draws.items()},
}
(Path(__file__).parents[1] / "data" / "harl-hasac" / "expected.json").write_text(json.dumps(document))
