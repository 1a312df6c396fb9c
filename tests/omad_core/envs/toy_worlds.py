"""Small PettingZoo environments that the tests name as `toy_worlds:factory`."""

from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv


class Relay(ParallelEnv):
    """Three runners of different widths; `second` leaves after two steps, the others when the course ends.

    Each runner's reward is the mean of its action; what it sees are its position and the action it took last.
    """

    metadata: ClassVar[dict[str, Any]] = {"name": "relay_v0"}
    possible_agents: ClassVar[list[str]] = ["first", "second", "third"]
    widths: ClassVar[dict[str, int]] = {"first": 1, "second": 2, "third": 3}

    def __init__(self, length: int = 5, cut: bool = False, shared: bool = False) -> None:
        self.length, self.cut, self.shared = length, cut, shared
        self.agents: list[str] = []

    def observation_space(self, agent: str) -> Box:
        return Box(-np.inf, np.inf, (1 + self.widths[agent],), np.float64)

    def action_space(self, agent: str) -> Box:
        return Box(-2.0, 4.0, (self.widths[agent],), np.float32)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        self.agents, self.time = list(self.possible_agents), 0
        self.draw = np.random.default_rng(seed)
        self.position = {name: self.draw.normal() for name in self.agents}
        return {name: self._see(name, np.zeros(self.widths[name])) for name in self.agents}, {}

    def _see(self, agent: str, action: np.ndarray) -> np.ndarray:
        return np.concatenate([[self.position[agent]], action])

    def step(self, actions: dict[str, np.ndarray]) -> tuple[Any, ...]:
        assert set(actions) == set(self.agents)
        for name, action in actions.items():
            assert self.action_space(name).contains(action)
            self.position[name] += float(action.mean()) + 0.01 * self.draw.normal()
        self.time += 1
        over = self.time >= self.length
        observations = {name: self._see(name, actions[name]) for name in self.agents}
        rewards = {name: 7.0 if self.shared else float(actions[name].mean()) for name in self.agents}
        ended = {
            name: (over and not self.cut) or (name == "second" and self.time == 2) for name in self.agents
        }
        cut = dict.fromkeys(self.agents, over and self.cut)
        self.agents = [name for name in self.agents if not ended[name] and not cut[name]]
        return observations, rewards, ended, cut, {name: {} for name in observations}


class SavingRelay(Relay):
    """A Relay that can save itself and tells its global state."""

    max_cycles = 9

    def state(self) -> np.ndarray:
        return np.array([self.time, *self.position.values()])

    def save_state(self) -> dict[str, np.ndarray]:
        words = self.draw.bit_generator.state["state"]
        split = [part for key in ("state", "inc") for part in divmod(words[key], 2**64)]
        return {
            "time": np.array(self.time),
            "position": np.array(list(self.position.values())),
            "present": np.array([name in self.agents for name in self.possible_agents]),
            "draw": np.array(split, dtype=np.uint64),
        }

    def restore_state(self, state: dict[str, np.ndarray]) -> None:
        self.time = int(state["time"])
        self.position = dict(zip(self.possible_agents, state["position"].tolist(), strict=True))
        self.agents = [n for n, here in zip(self.possible_agents, state["present"], strict=True) if here]
        high, low, inc_high, inc_low = (int(word) for word in state["draw"])
        full = self.draw.bit_generator.state
        full["state"] = {"state": high * 2**64 + low, "inc": inc_high * 2**64 + inc_low}
        self.draw.bit_generator.state = full


class Locked(Relay):
    """Nobody enters an episode of one seed, or gets beyond its first `steps`."""

    short: ClassVar[set[int]] = set()
    """Seeds of episodes that end after one step."""

    def __init__(self, refused: int, steps: int = 0) -> None:
        super().__init__()
        self.refused, self.steps = refused, steps

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        if seed == self.refused and not self.steps:
            raise ValueError("no way in")
        self.locked = seed == self.refused
        self.length = 1 if seed in self.short else 5
        return super().reset(seed, options)

    def step(self, actions: dict[str, np.ndarray]) -> tuple[Any, ...]:
        if self.locked and self.time == self.steps:
            raise ValueError("no way on")
        return super().step(actions)


class Mortal(Relay):
    """Dies in its third step, while deaths are left, and does nothing ever after."""

    deaths: ClassVar[int] = 0
    dead = False

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        if self.dead:
            raise BrokenPipeError("the simulator is gone")
        return super().reset(seed, options)

    def step(self, actions: dict[str, np.ndarray]) -> tuple[Any, ...]:
        if self.time == 2 and Mortal.deaths:
            Mortal.deaths, self.dead = Mortal.deaths - 1, True
            raise BrokenPipeError("the simulator died")
        return super().step(actions)


class Deserted(Relay):
    """Its second episode has nobody in it."""

    episodes = 0

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        told = super().reset(seed, options)
        self.episodes += 1
        if self.episodes == 2:
            self.agents = []
        return told


class ButtonWorld(Relay):
    """Agents that press one of three buttons."""

    def action_space(self, agent: str) -> Discrete:
        return Discrete(3)


class Unbounded(Relay):
    """Agents whose actions have no bounds."""

    def action_space(self, agent: str) -> Box:
        return Box(-np.inf, np.inf, (self.widths[agent],), np.float32)


class Empty(Relay):
    """No agents at all."""

    possible_agents: ClassVar[list[str]] = []


def relay(length: int = 5, cut: bool = False, shared: bool = False) -> Relay:
    return Relay(length, cut, shared)


def saving_relay(length: int = 5) -> SavingRelay:
    return SavingRelay(length)


locked, mortal, deserted, switches, unbounded, empty = Locked, Mortal, Deserted, ButtonWorld, Unbounded, Empty
not_a_factory = 3
