"""Algorithms by name: the kind of policy each has, and what it wants of the settings that all share.

Their equations are `algorithm/objectives`, one file each; docs/algorithms.md says where they come from.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omad_core.errors import ConfigError
from omad_core.settings import get, setting, walk


@dataclass(frozen=True)
class Algorithm:
    """What distinguishes one algorithm from another before anything is computed."""

    about: str
    """What it is, in a few words."""
    policy: str
    """The kind of its policies: `actor.kind`."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Its own defaults of shared settings by path; files, profiles and options come after them."""
    own: bool = False
    """Whether `TrainConfig` has a group of settings with its name, which no other algorithm reads."""


@dataclass(frozen=True)
class HasacConfig:
    """What only HASAC reads."""

    target_entropy: float = setting(
        -1.0,
        "Entropy per action dimension that each agent's temperature keeps to [harl]",
        low=-20.0,
        high=0.69,
    )


@dataclass(frozen=True)
class MadpmdConfig:
    """What only MADPMD reads."""

    candidates: int = setting(
        32, "M: joint actions of the old policies that a state is offered", low=2, high=1024, structure=True
    )
    chunk: int = setting(
        8,
        "Candidates drawn and valued at a time: less memory, not another result",
        low=1,
        high=1024,
        structure=True,
    )
    states: int = setting(
        32,
        "States of the batch that the actors learn from; at most batch_size",
        low=1,
        high=2**20,
        structure=True,
    )
    refresh: int = setting(
        50, "Updates of the actors between two copies of them as the old ones [ours]", low=1, high=10**6
    )
    kl_target: float = setting(
        0.5,
        "How far, in nats, the weights of the candidates may be from equal ones [ours]",
        low=1e-4,
        high=6.9,
    )
    temperature: float = setting(1.0, "T: its start [ours]", low=1e-6, high=1e6)
    learning_rate: float = setting(1e-2, "Adam's step size of log T; 0 keeps T [ours]", low=0.0, high=1.0)

    def __post_init__(self) -> None:
        """Refuse what no weights can have: all weight on one of M candidates is log M nats from equal."""
        most = math.log(max(2, self.candidates))  # fewer are out of their own bounds
        if self.kl_target >= most:
            raise ConfigError(
                f"madpmd.kl_target = {self.kl_target:g} nats cannot be reached with madpmd.candidates = "
                f"{self.candidates}, whose weights are at most log {self.candidates} = {most:.3g} from equal; choose a "
                "smaller madpmd.kl_target or more madpmd.candidates"
            )


OMAD = "omad"
ALGORITHMS: dict[str, Algorithm] = {
    OMAD: Algorithm("diffusion policies, one entropy bound of all agents together", "diffusion"),
    "gaussian": Algorithm("OMAD with a tanh-squashed Gaussian in the chain's place", "gaussian"),
    "hasac": Algorithm(
        "agents step in turn, twin critics with target networks, a temperature for each agent",
        "gaussian",
        {
            "batch_size": 1_000,
            "n_step": 10,
            "policy_delay": 1,
            "actor.hidden_layers": 2,
            "actor.activation": "relu",
            "actor.log_std": "clamped",
            "actor.log_std_min": -20.0,
            "actor.learning_rate": 1e-3,
            "actor.adam_beta1": 0.9,
            "actor.grad_clip": 1e9,
            "critic.head": "scalar",
            "critic.hidden_width": 256,
            "critic.learning_rate": 1e-3,
            "critic.adam_beta1": 0.9,
            "critic.target_tau": 0.005,
            "critic.norm": "none",
            "entropy.learning_rate": 3e-4,
        },
        own=True,
    ),
    "madpmd": Algorithm(
        "diffusion policies fitted to candidates of the old ones, weighted by exp(Q / T)",
        "ddpm",
        {"actor.denoising_steps": 20, "actor.activation": "mish"},
        own=True,
    ),
}
"""The first one of a kind of policy is what a stored `actor.kind` alone means."""


def of_policy(kind: str) -> str:
    """The algorithm that `actor.kind` meant before there was `algorithm`."""
    return next((name for name, algorithm in ALGORITHMS.items() if algorithm.policy == kind), OMAD)


def settings_of_others(algorithm: str) -> tuple[str, ...]:
    """Beginnings of the paths that only other algorithms read, such as `hasac.`."""
    return tuple(f"{name}." for name, other in ALGORITHMS.items() if other.own and name != algorithm)


def check_algorithm(name: str, kind: str, groups: Mapping[str, Any]) -> None:
    """Refuse another algorithm's kind of policy, and values of `groups` that this one does not read."""
    if kind != ALGORITHMS[name].policy:
        raise ConfigError(
            f"actor.kind = {kind} contradicts algorithm = {name}, whose policies are "
            f"{ALGORITHMS[name].policy}: leave actor.kind out"
        )
    for prefix in settings_of_others(name):
        group, other = groups[prefix[:-1]], prefix[:-1]
        for path, value, _ in walk(group):
            if value != get(type(group)(), path):
                raise ConfigError(
                    f"{prefix}{path} = {value} is read by algorithm = {other} alone, and algorithm = {name}: leave it "
                    f"out or choose that algorithm; a search over algorithms gives it below [space], "
                    f'with when = {{ algorithm = "{other}" }}'
                )
