"""Environments of a user's own that raise when they are made, reset or stepped, as often as a test says."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box
from pettingzoo import ParallelEnv

TRAINING_OF_LANE_1 = 1
"""Number of the environment in which the second trial of a program trains."""


class Trouble:
    """What goes wrong: the next so many environments cannot be made; one that was made cannot be reset, or stepped."""

    def __init__(self) -> None:
        self.makes = 0
        self.resets_of: int | None = None
        self.steps_of: int | None = None
        self.made = 0


trouble = Trouble()


class Fragile(ParallelEnv[str, np.ndarray, np.ndarray]):
    """Two agents; nothing happens for ten steps."""

    metadata = {"name": "fragile_v0"}  # noqa: RUF012 - as PettingZoo declares it
    possible_agents = ["left", "right"]  # noqa: RUF012
    max_cycles = 10

    def __init__(self) -> None:
        if trouble.makes:
            trouble.makes -= 1
            raise ValueError("no licence is left")
        self._number, trouble.made = trouble.made, trouble.made + 1
        self.agents = list(self.possible_agents)

    def observation_space(self, agent: str) -> Box:
        return Box(-1.0, 1.0, (2,), np.float64)

    def action_space(self, agent: str) -> Box:
        return Box(-1.0, 1.0, (1,), np.float32)

    def _seen(self) -> dict[str, np.ndarray]:
        return {agent: np.zeros(2) for agent in self.possible_agents}

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        if self._number == trouble.resets_of:
            raise ValueError("the arena is locked")
        self.agents = list(self.possible_agents)
        return self._seen(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, np.ndarray]) -> tuple[Any, ...]:
        if trouble.steps_of in (self._number, -1):
            raise ZeroDivisionError("the wheel came off")
        rewards = {agent: -float(np.abs(action).sum()) for agent, action in actions.items()}
        nothing = dict.fromkeys(self.agents, False)
        return self._seen(), rewards, nothing, dict(nothing), {agent: {} for agent in self.agents}


def make() -> Fragile:
    return Fragile()
