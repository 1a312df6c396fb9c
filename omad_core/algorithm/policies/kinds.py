"""Kinds of policies: all that distinguishes one from another, in one object each."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from omad_core.algorithm.policies.ddpm import Ddpm
from omad_core.algorithm.policies.diffusion import Diffusion, Draw
from omad_core.algorithm.policies.facts import PolicyFacts
from omad_core.algorithm.policies.gaussian import Gaussian
from omad_core.config import ActorConfig
from omad_core.nn.layers import Params


class PolicyKind(Protocol):
    """What a kind of policy is made of. Its functions are pure; gradients flow through `draw`.

    Below, `params` are the parameters [P, A, ...] of all agents, `shape` what `PolicyKind.shape` returned, `obs`
    [P, A, N, O], `noise` [noises, P, A, N, U] standard normal numbers, and actions [P, A, N, U] lie in [-1, 1].
    """

    @property
    def reads(self) -> Mapping[str, Callable[[ActorConfig], float]]:
        """Settings that the members of a population may differ in, by name."""
        ...

    def noises(self, actor: ActorConfig) -> int:
        """Normal numbers that one action dimension takes."""
        ...

    def initialise(self, actor: ActorConfig, agents: int, obs: int, act: int, gen: torch.Generator) -> Params:
        """One member's first parameters [A, ...] for observations and actions of these widths."""
        ...

    def shape(self, facts: PolicyFacts) -> Any:
        """What the functions below need beside the parameters: a dataclass with a field `action_mask`."""
        ...

    def draw(self, params: Mapping[str, Tensor], shape: Any, obs: Tensor, noise: Tensor) -> Draw:
        """Actions with the terms of their entropy bound."""
        ...

    def explore(self, params: Mapping[str, Tensor], shape: Any, obs: Tensor, noise: Tensor) -> Tensor:
        """Actions that training takes in its environments."""
        ...

    def act(self, params: Mapping[str, Tensor], shape: Any, obs: Tensor, noise: Tensor) -> Tensor:
        """Actions of the policy itself, in evaluation and wherever it is served; noise of zeros: `deterministic`."""
        ...

    def deterministic(self, params: Mapping[str, Tensor], shape: Any, obs: Tensor) -> Tensor:
        """The actions that the policy takes without noise."""
        ...


POLICIES: dict[str, PolicyKind] = {"diffusion": Diffusion(), "gaussian": Gaussian(), "ddpm": Ddpm()}


def policy_kind(actor: ActorConfig) -> PolicyKind:
    """The kind of policy that these settings name."""
    return POLICIES[actor.kind]
