"""The learner: updates of all members, eq. 9 to 12. It knows no environment."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omad_core import critic as critics
from omad_core.actor import time_features
from omad_core.chain import ChainShape, Draw, act, draw
from omad_core.config import TrainConfig
from omad_core.gaussian import act_gaussian, draw_gaussian
from omad_core.heads import Head, overwrite
from omad_core.layers import over
from omad_core.renorm import fold
from omad_core.replay import Transitions
from omad_core.scalars import Scalars
from omad_core.task import TaskSpec
from omad_core.temperature import gradient as temperature_gradient
from omad_core.weights import Weights


class Learner:
    """Up to `capacity` members' actors, critics and temperatures, updated together."""

    def __init__(
        self, spec: TaskSpec, config: TrainConfig, capacity: int, device: torch.device, quantiles: int
    ) -> None:
        self.spec, self.config, self.capacity, self.device = spec, config, capacity, device
        self.scalars = Scalars(config, capacity, device)
        self.weights = Weights(spec, config, capacity, device, quantiles)
        self.actor, self.critic = self.weights.actor, self.weights.critic
        self.statistics, self.temperature = self.weights.statistics, self.weights.temperature
        self.adams, self.measures = self.weights.adams, self.weights.measures
        mask = torch.zeros(spec.num_agents, spec.action_width)
        for agent, dims in enumerate(spec.action_dims):
            mask[agent, :dims] = 1.0
        self.action_mask = mask.to(device)
        self.real_actions = mask.flatten().nonzero().flatten().to(device)
        self.version = 0
        """Grows when an update becomes another sequence of operations, or reads from other addresses."""
        self._structure: tuple[int, bool] | None = None
        self.head: Head
        self.set_present([config])

    def set_present(self, configs: list[TrainConfig]) -> None:
        """The members present: the chain is as long as their largest K, and padded only where they differ."""
        steps = [c.actor.denoising_steps for c in configs] or [1]
        self.chain_noises = max([c.actor.noises for c in configs], default=1)
        head = self.scalars.head(self.weights.atoms)
        longest, ragged = max(steps), len(set(steps)) > 1 or len(configs) < self.capacity
        if (longest, ragged) == self._structure:
            overwrite(self.head, head)
            return
        self._structure, self.head = (longest, ragged), head
        self.version += 1
        self.shape = ChainShape(
            denoising_steps=self.scalars["denoising_steps"],
            sigma0=self.scalars["sigma0"],
            action_mask=self.action_mask,
            features=time_features(longest, self.device),
            ragged=ragged,
        )

    def start(self, place: int, config: TrainConfig) -> None:
        """A new member in `place`."""
        self.scalars.put(place, config)
        self.weights.start(place, config)

    def load(self, place: int, config: TrainConfig, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """A member in `place` that goes on from what `Weights.row` gave."""
        self.scalars.put(place, config)
        self.weights.load(place, arrays)

    def alpha(self) -> Tensor:
        """[P]"""
        return self.temperature["log_alpha"].exp()

    def act(self, obs: Tensor, noise: Tensor) -> Tensor:
        """Actions [P, A, N, U] for observations [P, A, N, O] and noise [1 + K, P, A, N, U]."""
        with torch.no_grad():
            if self.config.actor.kind == "gaussian":
                return act_gaussian(self.actor, obs, noise)
            return act(self.actor, self.shape, obs, noise)

    def _draw(self, obs: Tensor, noise: Tensor) -> Draw:
        if self.config.actor.kind == "gaussian":
            return draw_gaussian(self.actor, self.scalars["sigma0"], self.action_mask, obs, noise)
        return draw(self.actor, self.shape, obs, noise)

    def update_critic(
        self, batch: Transitions, noise: Tensor, learning: Tensor | None, measure: bool
    ) -> None:
        """One step of the critics, eq. 9, for the members where `learning` [P] is true (None: all).

        (s, a) and (s', a') go through the live network as one batch; the half of s' is detached.
        """
        with torch.no_grad():
            following = self._draw(batch.next_obs, noise)
            bound = (following.cost + following.prior).sum(1)
            reward = batch.reward - batch.discount * self.alpha()[:, None] * bound
        now = critics.joint_input(batch.state, batch.action, self.real_actions)
        after = critics.joint_input(batch.next_state, following.action, self.real_actions)
        warm = self.adams["critic"].steps >= self.scalars["renorm_warmup"]
        out, batches = critics.train(self.critic, self.statistics, torch.cat([now, after], 1), warm)
        predicted, target = out.chunk(2, dim=2)
        loss = self.head.loss(predicted, target.detach(), reward, batch.discount, value=measure)
        gradients = torch.autograd.grad(loss.sum(), list(self.critic.values()))
        self.adams["critic"].step(gradients, self.scalars["critic_lr"], learning)
        everyone = torch.ones_like(warm) if learning is None else learning
        fold(self.statistics, batches, everyone)
        if measure:
            self.measures.critic(loss, predicted, self.head, gradients, everyone)

    def update_actor(self, batch: Transitions, noise: Tensor, learning: Tensor | None) -> None:
        """One simultaneous step of all agents' policies (eq. 10), then of the temperature (eq. 11)."""
        drawn = self._draw(batch.obs, noise)
        bound = (drawn.cost + drawn.prior).sum(1)
        joint = critics.joint_input(batch.state, drawn.action, self.real_actions)
        frozen = {name: tensor.detach() for name, tensor in self.critic.items()}
        value = self.head.mean(critics.evaluate(frozen, self.statistics, joint)).mean(1)
        loss = (self.alpha()[:, None] * bound - value).mean(1)
        gradients = torch.autograd.grad(loss.sum(), list(self.actor.values()))
        clipped = _clip(gradients, self.scalars["grad_clip"])
        self.adams["actor"].step(clipped, self.scalars["actor_lr"], learning)
        everyone = torch.ones_like(loss, dtype=torch.bool) if learning is None else learning
        self.measures.actor(loss, drawn, self.alpha(), gradients, everyone)
        self._update_temperature(drawn.cost.detach().sum(1).mean(1), everyone)

    def _update_temperature(self, run_cost: Tensor, learning: Tensor) -> None:
        slope = temperature_gradient(
            self.temperature["log_alpha"], run_cost, self.scalars["alpha_target"], self.spec.action_dim
        )
        learned = learning & (self.scalars["alpha_learned"] > 0)
        self.adams["temperature"].step([slope], self.scalars["alpha_lr"], learned)


def _clip(gradients: Sequence[Tensor], bound: Tensor) -> list[Tensor]:
    """Every entry within its member's bound [P]."""
    low = -bound
    return [gradient.clamp(over(low, gradient), over(bound, gradient)) for gradient in gradients]
