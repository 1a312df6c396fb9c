"""OMAD: reward and the bound on the joint entropy, eq. 8 to 11. With a Gaussian policy it is what OMAD is compared to.

L = sum_i (c_i + t_i) is minus the bound on the joint entropy; alpha its weight.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from omad_core.algorithm.batch import Transitions
from omad_core.algorithm.gradients import norm
from omad_core.algorithm.objectives.objective import Draws, DrawSpec, FirstWeights, Group, Networks, Target
from omad_core.algorithm.objectives.policy_draws import noises, of_policy
from omad_core.algorithm.objectives.targets import TARGETS, follow, targets
from omad_core.config import TrainConfig
from omad_core.nn.layers import Params
from omad_core.rng.streams import Stream
from omad_core.task import TaskSpec


def _log_alpha(config: TrainConfig, spec: TaskSpec, fresh: FirstWeights) -> Params:
    return {"log_alpha": torch.tensor(float(np.log(config.entropy.alpha)))}


class Omad:
    """Implements `Objective`."""

    actor_counted = 1
    reads: ClassVar = {
        "alpha_lr": lambda c: c.entropy.learning_rate,
        "alpha_target": lambda c: c.entropy.target,
        "alpha_learned": lambda c: float(c.entropy.mode == "learned"),
    }
    draws: ClassVar = {
        "target": DrawSpec(Stream.TARGET, of_policy, rows=noises),
        "actor": DrawSpec(Stream.ACTOR, of_policy, rows=noises, update="actor"),
    }
    groups: ClassVar = {
        **TARGETS,
        "temperature": Group(_log_alpha, counted=1, beta1=lambda config: config.entropy.adam_beta1),
    }

    def metrics(self, spec: TaskSpec) -> Sequence[str]:
        names = ("actor_loss", "run_cost_per_dim", "entropy_bound", "alpha", "actor_grad_norm")
        return [*names, *(f"entropy_bound_{agent}" for agent in spec.agents)]

    def alpha(self, networks: Networks) -> Tensor:
        """[P]"""
        return networks.own["temperature"]["log_alpha"].exp()

    def target(self, networks: Networks, batch: Transitions, draws: Draws) -> Target:
        """Eq. 9: y = r + gamma (1 - terminated) ( Z(s', a') - alpha L(s') ), a' fresh from the current policies."""
        following = networks.draw(batch.next_obs, draws["target"])
        bound = (following.cost + following.prior).sum(1)
        alpha = self.alpha(networks)[:, None]
        reward = batch.reward - batch.discount * alpha * bound
        return Target(following.action, reward, targets(networks))

    def after_critics(self, networks: Networks, learning: Tensor) -> None:
        """Target networks, if there are any, follow."""
        follow(networks, learning)

    def update_actors(
        self, networks: Networks, batch: Transitions, draws: Draws, learning: Tensor
    ) -> Mapping[str, Tensor]:
        """Eq. 10: minimise E[ - mean_j mean Z_j(s, a) + alpha L ] over all agents' policies at once; then eq. 11."""
        drawn = networks.draw(batch.obs, draws["actor"])
        bound = (drawn.cost + drawn.prior).sum(1)
        value = networks.value(batch.state, drawn.action).mean(1)
        alpha = self.alpha(networks)
        loss = (alpha[:, None] * bound - value).mean(1)
        gradients = networks.step_actor(loss, learning)
        cost, entropy = drawn.cost.detach(), -(drawn.cost + drawn.prior).detach().mean(2)
        self.update_temperature(networks, cost.sum(1).mean(1), learning)
        each = dict(zip(networks.spec.agents, entropy.unbind(1), strict=True))
        return {
            "actor_loss": loss.detach(),
            "run_cost_per_dim": cost.sum(1).mean(1) / networks.spec.action_dim,
            "entropy_bound": entropy.sum(1),
            "alpha": alpha,
            "actor_grad_norm": norm(gradients),
            **{f"entropy_bound_{agent}": bound for agent, bound in each.items()},
        }

    def update_temperature(self, networks: Networks, run_cost: Tensor, learning: Tensor) -> None:
        """Eq. 11, where alpha is learned: descend -alpha ( mean(sum_i c_i) - target d ) in log alpha.

        run_cost: [P] mean over the batch of sum_i c_i.
        """
        budget = networks.number("alpha_target") * networks.spec.action_dim
        slope = -self.alpha(networks) * (run_cost - budget)
        learned = learning & (networks.number("alpha_learned") > 0)
        networks.step("temperature", [slope], networks.number("alpha_lr"), learned)
