"""OMAD: online multi-agent reinforcement learning with diffusion policies (arXiv 2602.18291).

`from omad_core import TrainConfig, train, Population, Policy, make_env`, and with them the configs, events and errors
that they take and give; names are imported when first used, so that reading a config loads no torch and loading a
policy no simulator.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omad_core.config import (
        ActorConfig,
        CriticConfig,
        EntropyConfig,
        EnvConfig,
        EvaluationConfig,
        TrainConfig,
    )
    from omad_core.envs import make_env
    from omad_core.errors import (
        CheckpointError,
        ConfigError,
        EnvironmentFailed,
        NotFinite,
        OmadError,
        TaskError,
    )
    from omad_core.events import Broken, Busy, Diverged, Evaluated, Event, Finished, Progress, Warned
    from omad_core.policy import Policy
    from omad_core.population import Population
    from omad_core.training import train

_NAMES = {
    "omad_core.config": (
        "ActorConfig",
        "CriticConfig",
        "EntropyConfig",
        "EnvConfig",
        "EvaluationConfig",
        "TrainConfig",
    ),
    "omad_core.envs": ("make_env",),
    "omad_core.errors": (
        "CheckpointError",
        "ConfigError",
        "EnvironmentFailed",
        "NotFinite",
        "OmadError",
        "TaskError",
    ),
    "omad_core.events": (
        "Broken",
        "Busy",
        "Diverged",
        "Evaluated",
        "Event",
        "Finished",
        "Progress",
        "Warned",
    ),
    "omad_core.policy": ("Policy",),
    "omad_core.population": ("Population",),
    "omad_core.training": ("train",),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}
__all__ = [
    "ActorConfig",
    "Broken",
    "Busy",
    "CheckpointError",
    "ConfigError",
    "CriticConfig",
    "Diverged",
    "EntropyConfig",
    "EnvConfig",
    "EnvironmentFailed",
    "Evaluated",
    "EvaluationConfig",
    "Event",
    "Finished",
    "NotFinite",
    "OmadError",
    "Policy",
    "Population",
    "Progress",
    "TaskError",
    "TrainConfig",
    "Warned",
    "make_env",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'omad_core' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
