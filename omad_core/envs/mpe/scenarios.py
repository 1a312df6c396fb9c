"""Cooperative Navigation and Physical Deception: observations, state and team reward, n worlds at once."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from omad_core.envs.base import BoolArray, FloatArray
from omad_core.envs.mpe.particles import (
    AGENT_RADIUS,
    ParticleWorld,
    distance,
    nearest,
    others,
    push,
    relative,
)

Rule = Literal["static", "random", "greedy"]
COVERED = 0.1
"""A landmark is covered by an agent nearer than this."""


class Sight(NamedTuple):
    """How many of the nearest other agents and landmarks an agent sees; None: all, in their order."""

    agents: int | None
    landmarks: int | None


ALL = Sight(None, None)


class Navigation:
    """`simple_spread`: N agents cover N landmarks without touching one another.

    Each agent's reward is (1 - local_ratio) times the team's (less the distance of every landmark to its nearest
    agent) plus local_ratio times its own (less one for every agent it touches). The team reward is their SUM.

    With `ends`, an episode ends when an agent is within 0.1 of every landmark.

    State: velocities and positions of all agents, positions of the landmarks.
    """

    collide = True
    has_goal = False
    scripted = 0

    def __init__(self, agents: int, local_ratio: float, ends: bool = False, seen: Sight = ALL) -> None:
        self.agents, self.landmarks = agents, agents
        self.names = tuple(f"agent_{i}" for i in range(agents))
        self._local, self.ends, self._seen = local_ratio, ends, seen
        self._others = others(agents)
        self._middle = 4 + 2 * (seen.landmarks or agents)
        self._last = self._middle + 2 * (seen.agents or agents - 1)
        # Own velocity and position, landmarks, other agents and what they say (nothing, two zeros each).
        self.obs_dim = 2 * self._last - self._middle
        self.state_dim = 6 * agents

    def observe(self, world: ParticleWorld) -> FloatArray:
        """[n, N, O] observations."""
        n = len(world.position)
        obs = np.zeros((n, self.agents, self.obs_dim))
        obs[..., 0:2] = world.velocity
        obs[..., 2:4] = world.position
        marks = relative(world.landmarks, world.position)
        obs[..., 4 : self._middle] = nearest(marks, self._seen.landmarks).reshape(n, self.agents, -1)
        fellows = world.position[:, self._others] - world.position[:, :, None]
        offsets = nearest(fellows, self._seen.agents).reshape(n, self.agents, -1)
        obs[..., self._middle : self._last] = offsets
        return obs

    def state(self, world: ParticleWorld) -> FloatArray:
        """[n, S] global state."""
        parts = (world.velocity, world.position, world.landmarks)
        return np.concatenate(parts, axis=1).reshape(len(world.position), -1)

    def reward(self, world: ParticleWorld) -> FloatArray:
        """[n] sum of the agents' rewards."""
        to_landmarks = distance(relative(world.landmarks, world.position)).min(axis=1)
        shared = -to_landmarks.sum(axis=1)
        apart = distance(relative(world.position, world.position))
        touching = (apart < 2 * AGENT_RADIUS).sum(axis=(1, 2)) - self.agents
        team: FloatArray = self.agents * shared * (1 - self._local) - touching * self._local
        return team

    def ended(self, world: ParticleWorld) -> BoolArray:
        """[n] whether the episode ends: every landmark is covered."""
        if not self.ends:
            return np.zeros(len(world.position), dtype=np.bool_)
        to_landmarks = distance(relative(world.landmarks, world.position)).min(axis=1)
        covered: BoolArray = (to_landmarks < COVERED).all(axis=1)
        return covered


class Deception:
    """`simple_adversary`: N agents know the goal among N landmarks; an adversary sees only where all are.

    Every good agent receives the adversary's distance to the goal less that of the nearest good agent; the team
    reward is the SUM over the good agents. The adversary does not learn, it follows a fixed rule:

    static  applies no force and stays where it began;
    random  draws its action uniformly from its box, from the environment's own generator;
    greedy  pushes towards the landmark that has a good agent nearest to it, with a force proportional to its
            distance in each direction, at most the full one.

    State: velocities and positions of the adversary and all agents, positions of the landmarks, the goal one-hot.
    """

    collide = False
    has_goal = True
    scripted = 1
    ends = False

    def __init__(self, agents: int, rule: Rule, seen: Sight = ALL) -> None:
        self.agents, self.landmarks = agents, agents
        self.names = tuple(f"agent_{i}" for i in range(agents))
        self.rule, self._seen = rule, seen
        self._others = others(agents + 1)[1:]
        self.obs_dim = 2 + 2 * (seen.landmarks or agents) + 2 * (seen.agents or agents)
        self.state_dim = 4 * (agents + 1) + 2 * agents + agents

    def script(self, world: ParticleWorld, draws: Sequence[np.random.Generator]) -> FloatArray:
        """[n, 1, 2] force of the adversary, chosen before anyone moves."""
        n = len(world.position)
        if self.rule == "static":
            return np.zeros((n, 1, 2))
        if self.rule == "random":
            return push(np.stack([draw.uniform(0, 1, (1, 5)) for draw in draws]))
        nearest = distance(relative(world.landmarks, world.position[:, 1:])).min(axis=1).argmin(axis=1)
        way = world.landmarks[np.arange(n), nearest] - world.position[:, 0]
        actions = np.zeros((n, 1, 5))
        actions[:, 0, 2::2] = way.clip(0, 1)
        actions[:, 0, 1::2] = (-way).clip(0, 1)
        return push(actions)

    def observe(self, world: ParticleWorld) -> FloatArray:
        """[n, N, O] observations: goal, landmarks, other agents, all as seen from the agent."""
        n, good = len(world.position), world.position[:, 1:]
        goal = world.landmarks[np.arange(n), world.goal][:, None] - good
        fellows = nearest(world.position[:, self._others] - good[:, :, None], self._seen.agents)
        marks = nearest(relative(world.landmarks, good), self._seen.landmarks)
        parts = [marks.reshape(n, self.agents, -1), fellows.reshape(n, self.agents, -1)]
        return np.concatenate([goal, *parts], axis=2)

    def state(self, world: ParticleWorld) -> FloatArray:
        """[n, S] global state."""
        n = len(world.position)
        goal = world.goal[:, None] == np.arange(self.landmarks)
        places = np.concatenate([world.velocity, world.position, world.landmarks], axis=1)
        return np.concatenate([places.reshape(n, -1), goal], axis=1)

    def reward(self, world: ParticleWorld) -> FloatArray:
        """[n] sum of the good agents' rewards."""
        goal = world.landmarks[np.arange(len(world.position)), world.goal]
        away = distance(world.position - goal[:, None])
        team: FloatArray = self.agents * (away[:, 0] - away[:, 1:].min(axis=1))
        return team

    def ended(self, world: ParticleWorld) -> BoolArray:
        """[n] false: an episode lasts to its horizon."""
        return np.zeros(len(world.position), dtype=np.bool_)


Scenario = Navigation | Deception
