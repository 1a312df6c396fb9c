"""The DDPM policy: a noise network and ancestral sampling of actions in [-1, 1] (arXiv 2006.11239).

a^k = sqrt(ab_k) a + sqrt(1 - ab_k) eps, k = 1..K; ab_k = prod_{j <= k} (1 - b_j), b from .8e-4 to .8 x .999 in equal
steps. Steps are counted in the order of generation: step s is level k = K - s, as it is for the chain of eq. 2.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from omad_core.algorithm.policies.denoiser import (
    ChainInputs,
    drift,
    drift_at,
    init_denoiser,
    prepare,
    time_features,
)
from omad_core.algorithm.policies.diffusion import Draw
from omad_core.algorithm.policies.facts import PolicyFacts
from omad_core.config import ActorConfig
from omad_core.nn.layers import Params, split

FIRST, LAST, SCALE = 1e-4, 0.999, 0.8
"""The linear schedule: at K = 8 ab_K is .0066, at K = 20 5e-6."""


@dataclass(frozen=True)
class DdpmShape:
    """What the policy must know of its members and agents beside the weights."""

    denoising_steps: Tensor
    """[P] K of each member, float; its values change when another member comes."""
    action_mask: Tensor
    """[A, U] or [P, A, U]: 1 for real action dimensions, 0 for padding."""
    features: Tensor
    """[steps, 512] time features; steps = the largest K present."""
    activation: str
    ragged: bool
    """Whether members differ in K, or lanes are empty, so that padded steps must be dropped."""


def schedule(denoising_steps: Tensor, steps: int) -> Tensor:
    """ab at level K - s for s = 0..steps: [P, steps + 1], members with `denoising_steps` [P] = K."""
    level = torch.arange(1, steps + 1, device=denoising_steps.device, dtype=torch.float64)
    total = denoising_steps[:, None].to(torch.float64)
    share = (level - 1.0) / (total - 1.0).clamp(min=1.0)
    betas = SCALE * (FIRST + (LAST - FIRST) * torch.where(total > 1.0, share, 1.0))
    left = torch.cumprod(1.0 - betas.clamp(max=LAST), 1)
    left = torch.cat([torch.ones_like(left[:, :1]), left], 1)
    s = torch.arange(steps + 1, device=denoising_steps.device)
    return left.gather(1, (total - s).clamp(min=0.0).long()).to(torch.float32)


def act_ddpm(params: Mapping[str, Tensor], shape: DdpmShape, obs: Tensor, noise: Tensor) -> Tensor:
    """Actions [P, A, N, U] for observations [P, A, N, O] and noise [1 + steps, P, A, N, U], x_0 first.

    The clean action that the network guesses is clipped to [-1, 1] in every step; the last one is taken.
    """
    agents, steps = obs.shape[1], shape.features.shape[0]
    prepared, flat_noise = _prepare(params, shape, obs), noise.flatten(1, 2)
    kept = schedule(shape.denoising_steps, steps).repeat_interleave(agents, 0)[..., None, None]
    now, after = kept[:, :-1], kept[:, 1:]
    one_step = now / after  # 1 - b_k
    # A padded step divides by nothing: it is computed with other numbers and dropped.
    rest = torch.where(now < 1.0, 1.0 - now, 1.0)
    of_guess = after.sqrt() * (1.0 - one_step) / rest
    of_x = one_step.sqrt() * (1.0 - after) / rest
    spread = ((1.0 - after) * (1.0 - one_step) / rest).sqrt()
    mask = _mask(shape, obs)
    x = flat_noise[0] * mask
    for s in range(steps):
        scale = now[:, s].sqrt()
        guess = ((x - (1.0 - now[:, s]).sqrt() * drift(prepared, x, s)) / scale).clamp(-1.0, 1.0)
        following = (of_guess[:, s] * guess + of_x[:, s] * x + spread[:, s] * flat_noise[s + 1]) * mask
        x = torch.where(now[:, s] < 1.0, following, x) if shape.ragged else following
    return split(x, obs.shape[:2])


def _mask(shape: DdpmShape, obs: Tensor) -> Tensor:
    """[P * A, 1, U] 1 for real dimensions: padded ones stay 0."""
    return shape.action_mask.expand(obs.shape[0], -1, -1).flatten(0, 1).unsqueeze(1)


def noised(shape: DdpmShape, action: Tensor, share: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
    """Actions [P, A, N, U] at random levels, and their steps s [P, A, N]: `share` [P, A, N] in [0, 1) says where."""
    step = (share * shape.denoising_steps[:, None, None]).long()
    levels = schedule(shape.denoising_steps, shape.features.shape[0])
    kept = levels.gather(1, step.flatten(1)).view_as(step).unsqueeze(-1)
    return kept.sqrt() * action + (1.0 - kept).sqrt() * eps, step


def predict(
    params: Mapping[str, Tensor], shape: DdpmShape, obs: Tensor, action: Tensor, step: Tensor
) -> Tensor:
    """The noise e_i(a_i^k, o_i, k) in noised actions [P, A, N, U] at steps [P, A, N]; 0 in padded dimensions."""
    prepared = _prepare(params, shape, obs)
    each = torch.cat(prepared.time, 1)
    index = step.flatten(0, 1).unsqueeze(-1).expand(-1, -1, each.shape[-1])
    mask = shape.action_mask.unsqueeze(-2)
    found = drift_at(prepared, (action * mask).flatten(0, 1), each.gather(1, index))
    return split(found, obs.shape[:2]) * mask


def _prepare(params: Mapping[str, Tensor], shape: DdpmShape, obs: Tensor) -> ChainInputs:
    return prepare(params, obs.flatten(0, 1), shape.features, shape.activation)


class Ddpm:
    """The DDPM policy as a kind of policy. Implements `PolicyKind`."""

    reads: Mapping[str, Callable[[ActorConfig], float]] = {
        "denoising_steps": lambda actor: actor.denoising_steps
    }

    def noises(self, actor: ActorConfig) -> int:
        """The start and one a step; the last one counts for nothing."""
        return 1 + actor.denoising_steps

    def initialise(self, actor: ActorConfig, agents: int, obs: int, act: int, gen: torch.Generator) -> Params:
        return init_denoiser(actor, agents, obs, act, gen, None)

    def shape(self, facts: PolicyFacts) -> DdpmShape:
        steps = facts.noises - 1
        return DdpmShape(
            denoising_steps=facts.numbers["denoising_steps"],
            action_mask=facts.action_mask,
            features=time_features(steps, facts.action_mask.device),
            activation=facts.actor.activation,
            ragged=facts.ragged,
        )

    def draw(self, params: Mapping[str, Tensor], shape: DdpmShape, obs: Tensor, noise: Tensor) -> Draw:
        """Nothing is known of its entropy: cost and prior are 0."""
        none = obs.new_zeros(obs.shape[:3])
        return Draw(self.act(params, shape, obs, noise), none, none)

    def explore(self, params: Mapping[str, Tensor], shape: DdpmShape, obs: Tensor, noise: Tensor) -> Tensor:
        """The chain explores by itself: nothing is added."""
        return self.act(params, shape, obs, noise)

    def act(self, params: Mapping[str, Tensor], shape: DdpmShape, obs: Tensor, noise: Tensor) -> Tensor:
        return act_ddpm(params, shape, obs, noise)

    def deterministic(self, params: Mapping[str, Tensor], shape: DdpmShape, obs: Tensor) -> Tensor:
        """The start and all noise = 0."""
        noises = 1 + shape.features.shape[0]
        return act_ddpm(
            params, shape, obs, obs.new_zeros(noises, *obs.shape[:-1], shape.action_mask.shape[-1])
        )
