"""OMAD: online multi-agent reinforcement learning with diffusion policies (arXiv 2602.18291).

`from omad_core import TrainConfig, train, Population, Policy, make_env`; names are imported when first used, so that
reading a config loads no torch and loading a policy no simulator.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omad_core.config import TrainConfig
    from omad_core.envs import make_env
    from omad_core.policy import Policy
    from omad_core.population import Population
    from omad_core.training import train

_HOMES = {
    "TrainConfig": "omad_core.config",
    "Policy": "omad_core.policy",
    "Population": "omad_core.population",
    "make_env": "omad_core.envs",
    "train": "omad_core.training",
}
__all__ = ["Policy", "Population", "TrainConfig", "make_env", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'omad_core' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
