"""The physics of MPE: discs on a plane, pushed by forces and by each other, n worlds at once."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from omad_core.envs.base import FloatArray

STEP_SECONDS = 0.1
DAMPING = 0.25
CONTACT_FORCE = 1e2
CONTACT_MARGIN = 1e-3
SENSITIVITY = 5.0
AGENT_RADIUS = 0.15


class ParticleWorld(NamedTuple):
    """n worlds of N agents and L landmarks; agents weigh one, landmarks never move."""

    position: FloatArray
    """[n, N, 2]"""
    velocity: FloatArray
    """[n, N, 2]"""
    landmarks: FloatArray
    """[n, L, 2]"""
    goal: NDArray[np.int64]
    """[n] the landmark that matters, in tasks that have one."""


def push(actions: FloatArray) -> FloatArray:
    """Forces [..., 2] of actions [..., 5]: nothing, left, right, down, up, each between 0 and 1."""
    return SENSITIVITY * (actions[..., 2::2] - actions[..., 1::2])


def move(world: ParticleWorld, force: FloatArray, collide: bool) -> ParticleWorld:
    """The worlds one step later, under forces [n, N, 2] and, where agents collide, their mutual push."""
    if collide:
        force = _with_contact(world.position, force)
    position = world.position + world.velocity * STEP_SECONDS
    velocity = world.velocity * (1 - DAMPING) + force * STEP_SECONDS
    return world._replace(position=position, velocity=velocity)


def _with_contact(position: FloatArray, force: FloatArray) -> FloatArray:
    """Forces with the soft repulsion of overlapping agents, added pair by pair as MPE does."""
    total = force.copy()
    first, second = np.array(list(combinations(range(position.shape[1]), 2))).T
    delta = position[:, first] - position[:, second]
    gap = distance(delta)[..., None]
    depth = np.logaddexp(0, -(gap - 2 * AGENT_RADIUS) / CONTACT_MARGIN) * CONTACT_MARGIN
    contact = CONTACT_FORCE * delta / gap * depth
    for pair, (a, b) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        total[:, a] += contact[:, pair]
        total[:, b] -= contact[:, pair]
    return total


def distance(delta: FloatArray) -> FloatArray:
    """Length of vectors along the last axis."""
    length: FloatArray = np.sqrt(np.vecdot(delta, delta))
    return length


def relative(entities: FloatArray, position: FloatArray) -> FloatArray:
    """[n, N, M, 2] where M entities [n, M, 2] lie as seen from N agents [n, N, 2]."""
    return entities[:, None] - position[:, :, None]


def others(count: int) -> NDArray[np.int64]:
    """[N, N - 1] for each agent the other ones, in order."""
    return np.array([[other for other in range(count) if other != agent] for agent in range(count)])


def nearest(offsets: FloatArray, count: int | None) -> FloatArray:
    """Of entities [n, N, M, 2] as seen from N agents the `count` nearest, then zeros: [n, N, count, 2]. None: all."""
    if count is None:
        return offsets
    order = np.argsort(distance(offsets), axis=-1)[..., :count, None]
    kept = np.zeros((*offsets.shape[:2], count, 2))
    kept[:, :, : order.shape[2]] = np.take_along_axis(offsets, order, axis=2)
    return kept
