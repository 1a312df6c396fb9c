"""The learner: updates of all members. It knows no environment, and an objective only as `Objective`."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omad_core.algorithm.batch import Transitions
from omad_core.algorithm.critics import critic as critics
from omad_core.algorithm.critics.heads import Head, overwrite
from omad_core.algorithm.gradients import clip, norm
from omad_core.algorithm.objectives.catalog import objective_of
from omad_core.algorithm.objectives.objective import Draws
from omad_core.algorithm.policies.diffusion import Draw
from omad_core.algorithm.policies.facts import PolicyFacts
from omad_core.algorithm.policies.kinds import policy_kind
from omad_core.algorithm.scalars import Scalars
from omad_core.algorithm.weights import Weights
from omad_core.config import TrainConfig
from omad_core.nn.batch_renorm import fold
from omad_core.nn.layers import Params, of_agent, real_columns
from omad_core.task import TaskSpec

Critic = tuple[Mapping[str, Tensor], Mapping[str, Tensor]]
"""Parameters and statistics of an ensemble of critics."""


class Learner:
    """Up to `capacity` members' actors, critics and the state of their objective, updated together.

    To its objective it is `objective.Networks`.
    """

    def __init__(
        self, spec: TaskSpec, config: TrainConfig, capacity: int, device: torch.device, quantiles: int
    ) -> None:
        self.spec, self.config, self.capacity, self.device = spec, config, capacity, device
        self.kind, self.objective = policy_kind(config.actor), objective_of(config)
        self.scalars = Scalars(config, self.kind, self.objective, capacity, device)
        self.weights = Weights(spec, config, self.objective, capacity, device, quantiles)
        self.actor, self.critic = self.weights.actor, self.weights.critic
        self.statistics: Params = self.weights.statistics
        self.own: Mapping[str, Params] = self.weights.own
        self.measures, self._adams = self.weights.measures, self.weights.adams
        mask = real_columns(spec.action_dims)
        self.action_mask = mask.to(device)
        self.real_actions = mask.flatten().nonzero().flatten().to(device)
        self._agents = torch.arange(spec.num_agents, device=device)
        self.version = 0
        """Grows when an update becomes another sequence of operations, or reads from other addresses."""
        self._structure: tuple[object, ...] | None = None
        self.head: Head
        self.set_present([config])

    def set_present(self, configs: list[TrainConfig]) -> None:
        """The members present: draws have as many rows as their largest, and are padded only where they differ."""
        configs = configs or [self.config]
        noises = [self.noises(config) for config in configs]
        self.most_noises = max(noises)
        self.rows = {
            name: max(spec.rows(config) for config in configs) if spec.rows else 1
            for name, spec in self.objective.draws.items()
        }
        """The most rows that a member present draws, by name."""
        head = self.scalars.head(self.weights.atoms)
        ragged = len(set(noises)) > 1 or len(configs) < self.capacity
        presence = (self.most_noises, ragged, *self.rows.values())
        if presence == self._structure:
            overwrite(self.head, head)
            return
        self._structure, self.head = presence, head
        self.version += 1
        numbers = {name: self.scalars[name] for name in self.kind.reads}
        padded = self.spec.action_width > min(self.spec.action_dims)
        self.shape = self.kind.shape(
            PolicyFacts(self.config.actor, numbers, self.action_mask, self.most_noises, ragged, padded)
        )

    def start(self, lane: int, config: TrainConfig) -> None:
        """A new member in `lane`."""
        self.scalars.put(lane, config)
        self.weights.start(lane, config)

    def load(
        self,
        lane: int,
        config: TrainConfig,
        arrays: Mapping[str, NDArray[np.generic]],
        measures: Sequence[str],
    ) -> None:
        """A member in `lane` that resumes from what `Weights.row` gave, with sums of these measures."""
        self.scalars.put(lane, config)
        self.weights.load(lane, arrays, measures)

    def noises(self, config: TrainConfig) -> int:
        """Normal numbers that one action dimension of this member takes."""
        return self.kind.noises(config.actor)

    @torch.no_grad()
    def explore(self, obs: Tensor, noise: Tensor) -> Tensor:
        """Actions [P, A, N, U] in training for observations [P, A, N, O] and noise [noises, P, A, N, U]."""
        return self.kind.explore(self.actor, self.shape, obs, noise)

    @torch.no_grad()
    def act(self, obs: Tensor, noise: Tensor) -> Tensor:
        """Actions [P, A, N, U] in evaluation; the noise of a deterministic one is 0."""
        return self.kind.act(self.actor, self.shape, obs, noise)

    def number(self, name: str) -> Tensor:
        """A number of each member's config: [P]."""
        return self.scalars[name]

    def steps(self, group: str) -> Tensor:
        """Steps of Adam in a group so far: [P] or [P, A]."""
        return self._adams[group].steps

    def draw(self, obs: Tensor, noise: Tensor, actor: Mapping[str, Tensor] | None = None) -> Draw:
        """Actions of all agents with the terms of their entropy bound; `actor`: other parameters."""
        return self.kind.draw(self.actor if actor is None else actor, self.shape, obs, noise)

    def draw_one(self, agent: Tensor, obs: Tensor, noise: Tensor) -> Draw:
        """Actions of one agent [P] of each member: as `draw`, with an axis A of length 1."""
        actor = {name: of_agent(tensor, agent) for name, tensor in self.actor.items()}
        mask = of_agent(self.action_mask.expand(self.capacity, -1, -1), agent)
        shape = dataclasses.replace(self.shape, action_mask=mask)
        return self.kind.draw(actor, shape, of_agent(obs, agent), of_agent(noise, agent, axis=2))

    def value(self, state: Tensor, action: Tensor, critic: Critic | None = None) -> Tensor:
        """Mean returns [P, C, N] of joint actions [P, A, N, U]; the critics are frozen, in evaluation mode."""
        params, statistics = critic or (self.critic, self.statistics)
        frozen = {name: tensor.detach() for name, tensor in params.items()}
        joint = critics.joint_input(state, action, self.real_actions)
        return self.head.mean(critics.evaluate(frozen, statistics, joint))

    def step_actor(self, loss: Tensor, learning: Tensor, agent: Tensor | None = None) -> list[Tensor]:
        """One step of the policies along a loss [P]; returns the gradients before they were clipped."""
        gradients = torch.autograd.grad(loss.sum(), list(self.actor.values()))
        if agent is not None:
            learning = learning[:, None] & (agent[:, None] == self._agents)
        clipped = clip(gradients, self.scalars["grad_clip"])
        self._adams["actor"].step(clipped, self.scalars["actor_lr"], learning)
        return list(gradients)

    def step(self, group: str, gradients: Sequence[Tensor], rate: Tensor, learning: Tensor) -> None:
        """One step of Adam in a group of the objective's."""
        self._adams[group].step(gradients, rate, learning)

    def update_critic(self, batch: Transitions, draws: Draws, learning: Tensor | None, measure: bool) -> None:
        """One step of the critics, eq. 9, for the members where `learning` [P] is true (None: all)."""
        warm = self._adams["critic"].steps >= self.scalars["renorm_warmup"]
        with torch.no_grad():
            target = self.objective.target(self, batch, draws)
        now = critics.joint_input(batch.state, batch.action, self.real_actions)
        after = critics.joint_input(batch.next_state, target.action, self.real_actions)
        if target.critic is None:
            both = torch.cat([now, after], 1)
            out, batches = critics.train(self.critic, self.statistics, both, warm)
            predicted, following = out.chunk(2, dim=2)
        else:
            predicted, batches = critics.train(self.critic, self.statistics, now, warm)
            following = critics.evaluate(*target.critic, after)
        loss = self.head.loss(predicted, following.detach(), target.reward, batch.discount, value=measure)
        gradients = torch.autograd.grad(loss.sum(), list(self.critic.values()))
        self._adams["critic"].step(gradients, self.scalars["critic_lr"], learning)
        everyone = torch.ones_like(warm) if learning is None else learning
        fold(self.statistics, batches, everyone)
        self.objective.after_critics(self, everyone)
        if measure:
            out = predicted.detach()
            values = {
                "critic_loss": loss.detach(),
                "q_mean": self.head.mean(out).mean((1, 2)),
                "q_spread": self.head.spread(out),
                "edge_mass": self.head.edge_mass(out),
                "critic_grad_norm": norm(gradients),
            }
            self.measures.add_critic(values, everyone)

    def update_actor(self, batch: Transitions, draws: Draws, learning: Tensor | None) -> None:
        """One update of the policies and of the objective's own state."""
        everyone = (
            torch.ones(self.capacity, dtype=torch.bool, device=self.device) if learning is None else learning
        )
        self.measures.add_actor(self.objective.update_actors(self, batch, draws, everyone), everyone)
