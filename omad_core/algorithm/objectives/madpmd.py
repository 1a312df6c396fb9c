"""MADPMD: diffusion policies fitted to joint actions of the old ones, weighted by what the joint critic says.

After the description in Ma et al., "Efficient Online Reinforcement Learning for Diffusion Policy" (arXiv 2502.00361)
and in papers that compare with it; the form for several agents and all details are ours. One mirror descent step is
pi_new(a | s) ~ pi_old(a | s) exp( E[Z](s, a) / T ), projected on policies that are independent given s.
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
from omad_core.algorithm.policies import ddpm
from omad_core.config import TrainConfig
from omad_core.nn.layers import Params, write
from omad_core.rng.streams import Stream
from omad_core.task import TaskSpec


def _states(config: TrainConfig) -> int:
    return min(config.madpmd.states, config.batch_size)


def _of_candidates(spec: TaskSpec, config: TrainConfig) -> tuple[int, ...]:
    """(A, M states, U)"""
    return spec.num_agents, config.madpmd.candidates * _states(config), spec.action_width


def _levels(spec: TaskSpec, config: TrainConfig) -> tuple[int, ...]:
    """(A, M states)"""
    return _of_candidates(spec, config)[:2]


def _old(config: TrainConfig, spec: TaskSpec, fresh: FirstWeights) -> Params:
    return dict(fresh.actor)


def _log_temperature(config: TrainConfig, spec: TaskSpec, fresh: FirstWeights) -> Params:
    return {"log_temperature": torch.tensor(float(np.log(config.madpmd.temperature)))}


def _beta1(config: TrainConfig) -> float:
    return config.entropy.adam_beta1


class Madpmd:
    """Implements `Objective`. Rows of candidates are [M, states], flattened: candidate m of state s is m states + s."""

    actor_counted = 1
    reads: ClassVar = {
        "refresh": lambda c: c.madpmd.refresh,
        "kl_target": lambda c: c.madpmd.kl_target,
        "temperature_lr": lambda c: c.madpmd.learning_rate,
    }
    draws: ClassVar = {
        "target": DrawSpec(Stream.TARGET, of_policy, rows=noises),
        "candidates": DrawSpec(
            Stream.MADPMD_CANDIDATES, _of_candidates, rows=noises, update="actor", block=1
        ),
        "levels": DrawSpec(Stream.MADPMD_LEVELS, _levels, kind="uniform", update="actor", block=1),
        "noise": DrawSpec(Stream.MADPMD_NOISE, _of_candidates, update="actor", block=1),
    }
    groups: ClassVar = {
        **TARGETS,
        "old_actor": Group(_old),
        "temperature": Group(_log_temperature, counted=1, beta1=_beta1),
    }

    def metrics(self, spec: TaskSpec) -> Sequence[str]:
        return ("actor_loss", "temperature", "kl_of_weights", "actor_grad_norm")

    def temperature(self, networks: Networks) -> Tensor:
        """T: [P]"""
        return networks.own["temperature"]["log_temperature"].exp()

    def target(self, networks: Networks, batch: Transitions, draws: Draws) -> Target:
        """y = r + gamma^n (1 - terminated) Z(s', a'), a' of the current policies: nothing is added for entropy."""
        following = networks.draw(batch.next_obs, draws["target"])
        return Target(following.action, batch.reward, targets(networks))

    def after_critics(self, networks: Networks, learning: Tensor) -> None:
        follow(networks, learning)

    def update_actors(
        self, networks: Networks, batch: Transitions, draws: Draws, learning: Tensor
    ) -> Mapping[str, Tensor]:
        """Minimise sum_i mean_s sum_m w_m | e_i(a^k_{i,m}, o_i, k) - eps |^2; move T, copy the policies if due.

        M joint actions a_m of the old policies a state; w = softmax_m( E[Z](s, a_m) / T ); k and eps drawn for each
        of them and each agent.
        """
        candidates = networks.config.madpmd.candidates
        states = draws["noise"].shape[2] // candidates
        obs, state = batch.obs[:, :, :states], batch.state[:, :states]
        actions, values = self._candidates(networks, obs, state, draws["candidates"])
        temperature = self.temperature(networks)
        log_weights = torch.log_softmax(values / temperature[:, None, None], 1)
        weights = log_weights.exp()
        noisy, step = ddpm.noised(networks.shape, actions, draws["levels"], draws["noise"])
        predicted = ddpm.predict(networks.actor, networks.shape, obs.repeat(1, 1, candidates, 1), noisy, step)
        mask = networks.shape.action_mask.unsqueeze(-2)
        distance = ((predicted - draws["noise"]) * mask).square().sum((1, 3))
        loss = (weights.flatten(1) * distance).sum(1) / states
        gradients = networks.step_actor(loss, learning)
        divergence = (weights * (log_weights + np.log(candidates))).sum(1).mean(1)
        self._cool(networks, divergence, learning)
        due = networks.steps("actor").remainder(networks.number("refresh")) == 0
        write(networks.own["old_actor"], networks.actor, due & learning)
        return {
            "actor_loss": loss.detach(),
            "temperature": temperature,
            "kl_of_weights": divergence,
            "actor_grad_norm": norm(gradients),
        }

    @torch.no_grad()
    def _candidates(
        self, networks: Networks, obs: Tensor, state: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Joint actions of the old policies [P, A, M states, U] and min_j E[Z_j] of each [P, M, states].

        A few candidates of all states at a time, as many as a chunk has.
        """
        states, actions, values = obs.shape[2], [], []
        for part in noise.split(networks.config.madpmd.chunk * states, dim=3):
            count = part.shape[3] // states
            drawn = networks.draw(obs.repeat(1, 1, count, 1), part, networks.own["old_actor"]).action
            value = networks.value(state.repeat(1, count, 1), drawn).amin(1)
            actions.append(drawn)
            values.append(value.view(-1, count, states))
        return torch.cat(actions, 2), torch.cat(values, 1)

    def _cool(self, networks: Networks, divergence: Tensor, learning: Tensor) -> None:
        """Descend T ( kl_target - KL ) in log T; KL = log M - H(w) [P] is how far the weights are from equal ones."""
        slope = self.temperature(networks) * (networks.number("kl_target") - divergence)
        networks.step("temperature", [slope], networks.number("temperature_lr"), learning)
