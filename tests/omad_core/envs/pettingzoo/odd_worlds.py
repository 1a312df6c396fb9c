"""Small PettingZoo environments, each with one peculiarity; the tests name them as `odd_worlds:make` with a kind."""

import ctypes
import os
import signal
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box
from pettingzoo import ParallelEnv

ODD_STEP = 3
"""The step in which the peculiar ones are peculiar."""


class World(ParallelEnv[str, Any, Any]):
    """Two agents with spaces of several shapes; an episode ends by terminating after five steps."""

    metadata: ClassVar[dict[str, Any]] = {"name": "odd_v0"}
    shapes: ClassVar[dict[str, tuple[int, ...]]] = {"a0": (3,), "a1": (2, 2)}

    def __init__(self, kind: str = "plain") -> None:
        self.kind, self.time = kind, 0
        self.possible_agents = list(self.shapes)
        self.agents: list[str] = []
        self.spaces = {a: Box(-np.inf, np.inf, s, np.float32) for a, s in self.shapes.items()}
        self.boxes = {a: Box(-1.0, 1.0, (2,), np.float32) for a in self.shapes}

    def observation_space(self, agent: str) -> Any:
        return self.spaces[agent]

    def action_space(self, agent: str) -> Any:
        return self.boxes[agent]

    def observations(self) -> dict[str, Any]:
        return {a: np.full(self.shapes[a], self.time, np.float32) for a in self.agents}

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.agents, self.time = list(self.possible_agents), 0
        return self.observations(), {}

    def step(self, actions: dict[str, Any]) -> Any:
        self.time += 1
        here = list(self.agents)
        observations, rewards = self.observations(), dict.fromkeys(here, 1.0)
        if self.time == ODD_STEP:
            self.odd(observations, rewards)
        over = self.time >= 5
        if over:
            self.agents = []
        return observations, rewards, dict.fromkeys(here, over), dict.fromkeys(here, False), {}

    def odd(self, observations: dict[str, Any], rewards: dict[str, Any]) -> None:
        match self.kind:
            case "raises":
                raise ValueError("the simulator\nfailed")
            case "exits":
                raise SystemExit(3)
            case "interrupts":
                raise KeyboardInterrupt
            case "is interrupted":
                os.kill(os.getpid(), signal.SIGINT)
            case "generator exits":
                raise GeneratorExit
            case "is mute":
                raise Mute
            case "nan reward":
                rewards["a1"] = float("nan")
            case "infinite reward":
                rewards["a0"] = -np.inf
            case "huge reward":
                rewards["a0"] = 1e39
            case "no number":
                rewards["a0"] = None
            case "two rewards":
                rewards["a0"] = np.ones(2)
            case "no reward":
                del rewards["a1"]
            case "nan observation":
                observations["a1"][0, 1] = np.nan
            case "infinite observation":
                observations["a0"][:] = np.inf
            case "one for three":
                observations["a0"] = np.zeros(1)
            case "transposed":
                observations["a0"], observations["a1"] = np.zeros((3, 1)), np.zeros(4)
            case "words":
                observations["a0"] = "north"
            case "no observation":
                del observations["a0"]


class Mute(Exception):
    """Cannot say what is wrong."""

    def __str__(self) -> str:
        raise RuntimeError


class Lenient(World):
    """Answers in forms that most libraries take: arrays of one, truth values of NumPy, lists, no infos, no seed."""

    def reset(self) -> Any:
        return super().reset()[0]

    def observations(self) -> dict[str, Any]:
        return {a: seen[None].tolist() for a, seen in super().observations().items()}

    def step(self, actions: dict[str, Any]) -> Any:
        observations, _, terminated, truncated, _ = super().step(actions)
        rewards = {"a1": np.array([1.0]), "a0": np.float32(2.0)}
        return observations, rewards, {a: np.bool_(v) for a, v in terminated.items()}, truncated


class Leaving(World):
    """`a0` leaves in the third step, and the others come in another order."""

    def __init__(self, cut: bool = False) -> None:
        super().__init__()
        self.cut, self.asked = cut, 0

    def step(self, actions: dict[str, Any]) -> Any:
        assert set(actions) == set(self.agents)
        observations, rewards, terminated, truncated, infos = super().step(actions)
        self.agents = [] if self.time == 5 else [a for a in ("a1", "a0") if a == "a1" or self.time < ODD_STEP]
        terminated = {a: self.time == 5 or a not in self.agents for a in reversed(terminated)}
        if self.cut and self.time == 5:
            terminated, truncated = dict.fromkeys(terminated, False), dict.fromkeys(truncated, True)
        return dict(reversed(observations.items())), rewards, terminated, truncated, infos


class Stated(Leaving):
    """Its state() needs an agent: it raises once `needed` has left."""

    def __init__(self, needed: str = "a0", cut: bool = False) -> None:
        super().__init__(cut)
        self.needed = needed

    def state(self) -> Any:
        if self.time and self.needed not in self.agents:
            raise AttributeError("'NoneType' object has no attribute 'position'")
        return np.array([self.time])


class Meddling(World):
    """Changes settings of the process."""

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        np.seterr(all="raise")
        os.chdir("/")
        return super().reset()


class Forking(World):
    """Forks, and the copy comes back as `way` says."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        if os.fork() == 0:
            match self.way:
                case "exits":
                    raise SystemExit
                case "raises":
                    raise ValueError("in the copy")
        else:
            os.wait()
        return super().reset()


class Growing(World):
    """A space that grows with every episode."""

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.boxes["a1"] = Box(-1.0, float(self.boxes["a1"].high[0]) + 1.0, (2,), np.float32)
        return super().reset()


class Unclosable(World):
    """Cannot be closed."""

    def close(self) -> None:
        raise RuntimeError("closed already")


class Unfit(Unclosable):
    """Unfit for training, and cannot be closed."""

    def action_space(self, agent: str) -> Any:
        return "three buttons"


class Printing(World):
    """Prints, from Python and from C."""

    def step(self, actions: dict[str, Any]) -> Any:
        print("from python")
        ctypes.CDLL(None).puts(b"from C")
        return super().step(actions)


class Saving(World):
    """Can save itself, but for what cannot be kept as numbers."""

    def save_state(self) -> dict[str, Any]:
        return {"time": self.time, "kind": {"of": self.kind}}

    def restore_state(self, state: dict[str, Any]) -> None:
        raise SystemExit("not today")


built = 0


class Fewer(World):
    """Of these, each one has other agents."""

    def __init__(self) -> None:
        global built
        super().__init__()
        built += 1
        self.possible_agents = self.possible_agents[: 1 + built % 2]


make, lenient, leaving, stated, growing, unclosable, switches, printing, saving, fewer, meddling, forking = (
    World, Lenient, Leaving, Stated, Growing, Unclosable, Unfit, Printing, Saving, Fewer, Meddling, Forking,
)  # fmt: skip


def nothing() -> None:
    return None


def exits() -> World:
    raise SystemExit
