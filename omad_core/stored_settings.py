"""Settings as checkpoints, policies and studies keep them, those of earlier releases included.

What is stored names every setting that its release knew. A setting that is missing came later: it has the value that
its release computed with, which need not be today's default.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from omad_core.config import ActorConfig, TrainConfig
from omad_core.settings import from_dict

BEFORE: Mapping[str, Any] = {"entropy.adam_beta1": 0.5, "actor.mask_padding": False}
"""What earlier releases computed with, where that is not the default: by path of the setting that came later."""


def train_config(values: Mapping[str, Any]) -> TrainConfig:
    """A training's settings from what `to_dict` made of them. Raises ConfigError."""
    return from_dict(TrainConfig, {**BEFORE, **values})


def actor_config(values: Mapping[str, Any]) -> ActorConfig:
    """A policy's settings from what `to_dict` made of them. Raises ConfigError."""
    before = {path.removeprefix("actor."): old for path, old in BEFORE.items() if path.startswith("actor.")}
    return from_dict(ActorConfig, {**before, **values})


def resolved(config: TrainConfig) -> TrainConfig:
    """The same training with every setting as a value of its own: `actor.dt` as a number."""
    return dataclasses.replace(config, actor=dataclasses.replace(config.actor, dt=config.actor.first_dt))
