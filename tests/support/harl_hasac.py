"""Numbers of HASAC's own code for test_hasac_parity.py. Needs torch and numpy; in the project's folder:

    git clone https://github.com/PKU-MARL/HARL ../HARL
    git -C ../HARL checkout d539bad20f677bc4ce9fa200fa5de31b5f0b9d37
    python tests/support/harl_hasac.py ../HARL

One `train` of its runner: three agents with 2, 1 and 3 action dimensions, the third one first and the second one last,
all temperatures unequal, target critics of their own. What is drawn from normal distributions is prepared here, in the
order in which that code asks for it. Tau and the rates are larger than usual, so that what comes before a step and
what comes after it differ by more than the tests allow.
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

A, B, OBS, S, DIMS, WIDTH = 3, 6, 4, 5, (2, 1, 3), 8
ORDER = [2, 0, 1]
ALPHAS, JOINT_ALPHA = [0.3, 0.07, 0.15], 0.6
TAU, ACTOR_LR, CRITIC_LR, ALPHA_LR = 0.2, 0.02, 0.03, 0.05


class Box:
    def __init__(self, width):
        self.shape, self.high, self.low = (width,), np.ones(width), -np.ones(width)


torch.manual_seed(0)
rng = np.random.default_rng(0)
args = {
    "polyak": TAU,
    "lr": ACTOR_LR,
    "critic_lr": CRITIC_LR,
    "hidden_sizes": [WIDTH, WIDTH],
    "activation_func": "relu",
    "final_activation_func": "relu",
    "gamma": 0.99,
    "use_proper_time_limits": True,
    "auto_alpha": True,
    "alpha_lr": ALPHA_LR,
    "use_policy_active_masks": False,
    "use_huber_loss": False,
    "huber_delta": 10.0,
}
actors = [HASAC(args, Box(OBS), Box(d)) for d in DIMS]
critic, other = (SoftTwinContinuousQCritic(args, Box(S), [Box(d) for d in DIMS], A, "EP") for _ in range(2))
critics, targets = (critic.critic, critic.critic2), (critic.target_critic, critic.target_critic2)
for target, net in zip(targets, (other.critic, other.critic2), strict=True):
    target.load_state_dict(net.state_dict())
with torch.no_grad():
    for net in (*(actor.actor for actor in actors), *critics, *targets):
        for parameter in net.parameters():
            parameter.copy_(parameter.mul(1000.0).round().div(1000.0))  # few digits to store
    critic.log_alpha.fill_(JOINT_ALPHA).log_()
critic.alpha = critic.log_alpha.detach().exp()


def rounded(values):
    return np.round(values, 3).astype(np.float32)


def listed(tensors):
    """By name, with the digits of 32 bits."""

    def short(value):
        return [short(each) for each in value] if isinstance(value, list) else float(f"{value:.7g}")

    return {name: short(tensor.tolist()) for name, tensor in tensors.items()}


draws = {name: rounded(rng.normal(size=(A, B, max(DIMS)))) for name in ("target", "others", "own", "again")}
queue = [draws[name][i, :, :d] for name in ("target", "others") for i, d in enumerate(DIMS)]
queue += [draws[name][agent, :, : DIMS[agent]] for agent in ORDER for name in ("own", "again")]
torch.distributions.Normal.rsample = lambda self, shape=(): self.loc + self.scale * torch.tensor(queue.pop(0))
np.random.permutation = lambda n: np.array(ORDER)
steps = np.array([[3], [3], [3], [2], [1], [3]])
batch = {
    "state": rounded(rng.normal(size=(B, S))),
    "obs": rounded(rng.normal(size=(A, B, OBS))),
    "action": rounded(rng.uniform(-1, 1, (A, B, max(DIMS)))),
    "reward": rounded(rng.normal(size=(B, 1))),
    "term": np.float32([[0], [1], [0], [0], [1], [0]]),
    "next_state": rounded(rng.normal(size=(B, S))),
    "next_obs": rounded(rng.normal(size=(A, B, OBS))),
    "gamma": (0.99**steps).astype(np.float32),
}
done = np.float32([[0], [1], [0], [1], [1], [0]])  # the fourth is truncated
weights = {
    "actors": [listed(actor.actor.state_dict()) for actor in actors],
    "critics": [listed(net.state_dict()) for net in critics],
    "targets": [listed(net.state_dict()) for net in targets],
}
log_alphas = [torch.tensor([alpha]).log().requires_grad_() for alpha in ALPHAS]
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
    alpha=[each.detach().exp() for each in log_alphas],
    log_alpha=log_alphas,
    alpha_optimizer=[torch.optim.Adam([each], lr=ALPHA_LR) for each in log_alphas],
    target_entropy=[-float(d) for d in DIMS],
    buffer=SimpleNamespace(
        sample=lambda: (
            batch["state"],
            batch["obs"],
            joint,
            None,
            batch["reward"],
            done,
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
critic_loss, *each, joint_loss = losses  # an agent's: its actor's, then its temperature's
document = {
    "made_with": {
        "command": "python tests/support/harl_hasac.py ../HARL",
        "HARL": "d539bad20f677bc4ce9fa200fa5de31b5f0b9d37",
        "torch": torch.__version__,
        "numpy": np.__version__,
    },
    "order": ORDER,
    "alphas": ALPHAS,
    "joint_alpha": JOINT_ALPHA,
    "settings": {
        "critic.target_tau": TAU,
        "actor.learning_rate": ACTOR_LR,
        "critic.learning_rate": CRITIC_LR,
        "entropy.learning_rate": ALPHA_LR,
    },
    "batch": listed(batch),
    "draws": listed(draws),
    "weights": weights,
    "losses": {
        "critics": critic_loss,
        "actors_in_order": each[::2],
        "temperatures_in_order": each[1::2],
        "joint_temperature": joint_loss,
    },
    "gradients": {
        "actors": [listed({k: v.grad for k, v in actor.actor.named_parameters()}) for actor in actors],
        "critics": [listed({k: v.grad for k, v in net.named_parameters()}) for net in critics],
        "log_alphas": [each.grad.item() for each in log_alphas],
        "joint_log_alpha": critic.log_alpha.grad.item(),
    },
    "after": {
        "targets": [listed(net.state_dict()) for net in targets],
        "log_alphas": [each.item() for each in log_alphas],
        "joint_log_alpha": critic.log_alpha.item(),
    },
}
(Path(__file__).parents[1] / "data" / "harl-hasac" / "expected.json").write_text(json.dumps(document))
