"""HASAC: agents that step in turn towards the value of what all of them do, with a temperature each.

Liu et al., "Maximum Entropy Heterogeneous-Agent Reinforcement Learning", ICLR 2024, arXiv 2306.10715, and their code
(PKU-MARL/HARL). log pi_i = c_i + t_i is the exact log density of agent i's action, d_i its action dimensions. Target
networks follow after every update of the critics. (The authors' do after the actors', which differs only where
`policy_delay` is above 1.)
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


def _agents(spec: TaskSpec, config: TrainConfig) -> tuple[int, ...]:
    return (spec.num_agents,)


def _log_alphas(config: TrainConfig, spec: TaskSpec, fresh: FirstWeights) -> Params:
    return {"log_alpha": torch.full((spec.num_agents,), float(np.log(config.entropy.alpha)))}


def _log_alpha(config: TrainConfig, spec: TaskSpec, fresh: FirstWeights) -> Params:
    return {"log_alpha": torch.tensor(float(np.log(config.entropy.alpha)))}


def _beta1(config: TrainConfig) -> float:
    return config.entropy.adam_beta1


class Hasac:
    """Implements `Objective`."""

    actor_counted = 2
    reads: ClassVar = {
        "alpha_lr": lambda c: c.entropy.learning_rate,
        "alpha_learned": lambda c: float(c.entropy.mode == "learned"),
        "target_entropy": lambda c: c.hasac.target_entropy,
    }
    draws: ClassVar = {
        "target": DrawSpec(Stream.TARGET, of_policy, rows=noises),
        "others": DrawSpec(Stream.HASAC_OTHERS, of_policy, rows=noises, update="actor"),
        "own": DrawSpec(Stream.ACTOR, of_policy, rows=noises, update="actor"),
        "again": DrawSpec(Stream.HASAC_AGAIN, of_policy, rows=noises, update="actor"),
        "order": DrawSpec(Stream.HASAC_ORDER, _agents, kind="permutation", update="actor"),
    }
    groups: ClassVar = {
        **TARGETS,
        "temperatures": Group(_log_alphas, counted=2, beta1=_beta1),
        "joint_temperature": Group(_log_alpha, counted=1, beta1=_beta1),
    }

    def metrics(self, spec: TaskSpec) -> Sequence[str]:
        names = ["actor_loss", "entropy", "alpha", "actor_grad_norm"]
        return [*names, *(f"{what}_{agent}" for what in ("entropy", "alpha") for agent in spec.agents)]

    def target(self, networks: Networks, batch: Transitions, draws: Draws) -> Target:
        """y = r + gamma^n (1 - terminated) ( min_j Q'_j(s', a') - alpha_c sum_i log pi_i ), a' of current actors."""
        following = networks.draw(batch.next_obs, draws["target"])
        density = (following.cost + following.prior).sum(1)
        alpha = networks.own["joint_temperature"]["log_alpha"].exp()[:, None]
        return Target(following.action, batch.reward - batch.discount * alpha * density, targets(networks))

    def after_critics(self, networks: Networks, learning: Tensor) -> None:
        follow(networks, learning)

    def update_actors(
        self, networks: Networks, batch: Transitions, draws: Draws, learning: Tensor
    ) -> Mapping[str, Tensor]:
        """One agent after the other, in the order drawn; then alpha_c, on the sums.

        Each minimises mean[ alpha_i log pi_i - min_j Q_j(s, a_<i fresh, a_i, a_>i old) ], moves its alpha_i and draws
        its action anew for those after it. Old are the actions of policies before this update.
        """
        agents = torch.arange(networks.spec.num_agents, device=batch.obs.device)
        log_alphas = networks.own["temperatures"]["log_alpha"]
        with torch.no_grad():
            actions = networks.draw(batch.obs, draws["others"]).action
        densities = batch.obs.new_zeros(actions.shape[:2])
        losses, squares = [], []
        for agent in draws["order"].unbind(1):
            ours = agent[:, None] == agents
            where = ours[..., None, None]
            drawn = networks.draw_one(agent, batch.obs, draws["own"])
            joint = torch.where(where, drawn.action, actions)
            value = networks.value(batch.state, joint).amin(1)
            density = (drawn.cost + drawn.prior)[:, 0]
            alpha = (log_alphas.exp() * ours).sum(1)
            loss = (alpha[:, None] * density - value).mean(1)
            squares.append(norm(networks.step_actor(loss, learning, agent)).square())
            losses.append(loss.detach())
            densities = torch.where(ours, density.detach().mean(1)[:, None], densities)
            self._cool(networks, "temperatures", densities, ours & learning[:, None])
            with torch.no_grad():
                actions = torch.where(
                    where, networks.draw_one(agent, batch.obs, draws["again"]).action, actions
                )
        self._cool(networks, "joint_temperature", densities, learning)
        return self._measures(networks, torch.stack(losses).sum(0), densities, torch.stack(squares).sum(0))

    def _cool(self, networks: Networks, group: str, densities: Tensor, learning: Tensor) -> None:
        """Move log alpha of each agent, or of all together, so that its entropy comes to target_entropy d_i.

        densities: [P, A] mean log pi_i of the batch; learning: [P, A], or [P] for all together.
        """
        dims = networks.shape.action_mask.sum(-1)
        slope = -(densities + networks.number("target_entropy")[:, None] * dims)
        learned = networks.number("alpha_learned") > 0
        if learning.ndim == 1:
            networks.step(group, [slope.sum(1)], networks.number("alpha_lr"), learning & learned)
        else:
            networks.step(group, [slope], networks.number("alpha_lr"), learning & learned[:, None])

    def _measures(
        self, networks: Networks, loss: Tensor, densities: Tensor, squares: Tensor
    ) -> Mapping[str, Tensor]:
        names, alphas = networks.spec.agents, networks.own["temperatures"]["log_alpha"].exp()
        return {
            "actor_loss": loss,
            "entropy": -densities.sum(1),
            "alpha": networks.own["joint_temperature"]["log_alpha"].exp(),
            "actor_grad_norm": squares.sqrt(),
            **{f"entropy_{name}": -each for name, each in zip(names, densities.unbind(1), strict=True)},
            **{f"alpha_{name}": each for name, each in zip(names, alphas.unbind(1), strict=True)},
        }
