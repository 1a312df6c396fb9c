"""Environments of a user's own that misbehave as their argument says, in the fifth step of an episode."""

import errno
import os
import signal
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from pettingzoo import ParallelEnv

STEPS = 10


class MisbehavingWorld(ParallelEnv[str, np.ndarray, np.ndarray]):
    """Two agents that are to stand still."""

    metadata = {"name": "misbehaving_v0"}  # noqa: RUF012 - as PettingZoo declares it
    possible_agents = ["left", "right"]  # noqa: RUF012

    def __init__(self, kind: str) -> None:
        self.kind, self.agents, self._step = kind, list(self.possible_agents), 0

    def observation_space(self, agent: str) -> Box:
        return Box(-1.0, 1.0, (2,), np.float64)

    def action_space(self, agent: str) -> Box:
        return Box(-1.0, 1.0, (1,), np.float32)

    def _seen(self) -> dict[str, np.ndarray]:
        return {agent: np.zeros(2) for agent in self.possible_agents}

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        self.agents, self._step = list(self.possible_agents), 0
        return self._seen(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, np.ndarray]) -> tuple[Any, ...]:
        self._step += 1
        rewards = {agent: -float(np.abs(action).sum()) for agent, action in actions.items()}
        if self._step == 5:
            rewards["left"] = self._misbehave(rewards["left"])
        here, over = list(self.agents), self._step >= STEPS
        self.agents = [] if over else here
        return (
            self._seen(),
            rewards,
            dict.fromkeys(here, False),
            dict.fromkeys(here, over),
            {a: {} for a in here},
        )

    def _misbehave(self, reward: float) -> float:
        match self.kind:
            case "nan":
                return float("nan")
            case "infinite":
                return float("-inf")
            case "raises":
                raise ZeroDivisionError("the wheel came off")
            case "exits":
                raise SystemExit(3)
            case "interrupts":
                raise KeyboardInterrupt
            case "fills_the_disk":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            case "segfaults":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "leaves":
                os._exit(0)
            case "is_killed":
                os.kill(os.getpid(), signal.SIGKILL)
        return reward


def make(kind: str = "none") -> MisbehavingWorld:
    return MisbehavingWorld(kind)
