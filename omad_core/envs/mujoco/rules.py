"""Reward and end of an episode in the MuJoCo worlds, for n environments at once, as gymnasium's v5 has them.

`raw` [n, R] holds what was read from each MjData, `fields` says which columns are which; `speed` [n] is the
forward speed over the step, `control` [n, nu] the actuators' values, taken for the cost as they were given.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from omad_core.envs.base import BoolArray, FloatArray

Columns = Mapping[str, slice]
Judge = Callable[[FloatArray, FloatArray, FloatArray], tuple[FloatArray, BoolArray]]
"""(raw, speed, control) -> (reward [n], terminated [n])."""


class Racer:
    """HalfCheetah and Swimmer: speed less the cost of control; an episode never ends by itself."""

    def __init__(self, args: Mapping[str, Any], fields: Columns) -> None:
        self._forward: float = args["forward_reward_weight"]
        self._control: float = args["ctrl_cost_weight"]

    def __call__(
        self, raw: FloatArray, speed: FloatArray, control: FloatArray
    ) -> tuple[FloatArray, BoolArray]:
        reward = self._forward * speed - self._control * squares(control)
        return reward, np.zeros(len(raw), dtype=np.bool_)


class Walker:
    """Hopper and Walker2d: speed and health less the cost of control; ends outside a range of poses."""

    def __init__(self, args: Mapping[str, Any], fields: Columns) -> None:
        self._forward: float = args["forward_reward_weight"]
        self._control: float = args["ctrl_cost_weight"]
        self._alive: float = args["healthy_reward"]
        self._ends: bool = args["terminate_when_unhealthy"]
        self._columns, self._low, self._high = _healthy_box(args, fields)

    def __call__(
        self, raw: FloatArray, speed: FloatArray, control: FloatArray
    ) -> tuple[FloatArray, BoolArray]:
        watched = raw[:, self._columns]
        healthy = np.logical_and.reduce((watched > self._low) & (watched < self._high), axis=1)
        reward = self._forward * speed + healthy * self._alive - self._control * squares(control)
        return reward, ~healthy if self._ends else np.zeros_like(healthy)


def _healthy_box(args: Mapping[str, Any], fields: Columns) -> tuple[slice, FloatArray, FloatArray]:
    """Columns that health depends on and their open limits: height, angle, Hopper's other coordinates."""
    z, angle = args["healthy_z_range"], args["healthy_angle_range"]
    start = fields["qpos"].start + 1
    if "healthy_state_range" not in args:
        return slice(start, start + 2), np.array([z[0], angle[0]]), np.array([z[1], angle[1]])
    low, high = args["healthy_state_range"]
    others = fields["qvel"].stop - start - 2
    lows = [z[0], max(angle[0], low), *[low] * others]
    highs = [z[1], min(angle[1], high), *[high] * others]
    return slice(start, fields["qvel"].stop), np.array(lows), np.array(highs)


class Ant:
    """Ant: speed and health less the costs of control and contact; ends when it falls or jumps too high."""

    def __init__(self, args: Mapping[str, Any], fields: Columns) -> None:
        self._forward: float = args["forward_reward_weight"]
        self._control: float = args["ctrl_cost_weight"]
        self._contact: float = args["contact_cost_weight"]
        self._contact_range: tuple[float, float] = args["contact_force_range"]
        self._alive: float = args["healthy_reward"]
        self._ends: bool = args["terminate_when_unhealthy"]
        self._z: tuple[float, float] = args["healthy_z_range"]
        self._height = fields["qpos"].start + 2
        self._coordinates = slice(fields["qpos"].start, fields["qvel"].stop)
        self._forces = fields["cfrc_ext"]

    def __call__(
        self, raw: FloatArray, speed: FloatArray, control: FloatArray
    ) -> tuple[FloatArray, BoolArray]:
        z = raw[:, self._height]
        healthy = np.isfinite(raw[:, self._coordinates]).all(axis=1) & (z >= self._z[0]) & (z <= self._z[1])
        forces = raw[:, self._forces].clip(*self._contact_range)
        costs = self._control * squares(control) + self._contact * squares(forces)
        reward = speed * self._forward + healthy * self._alive - costs
        return reward, ~healthy if self._ends else np.zeros_like(healthy)


class Humanoid:
    """Humanoid: speed and health less the costs of control and contact; ends when it falls."""

    def __init__(self, args: Mapping[str, Any], fields: Columns) -> None:
        self._forward: float = args["forward_reward_weight"]
        self._control: float = args["ctrl_cost_weight"]
        self._contact: float = args["contact_cost_weight"]
        self._contact_range: tuple[float, float] = args["contact_cost_range"]
        self._alive: float = args["healthy_reward"]
        self._ends: bool = args["terminate_when_unhealthy"]
        self._z: tuple[float, float] = args["healthy_z_range"]
        self._height = fields["qpos"].start + 2
        self._forces = fields["cfrc_ext"]

    def __call__(
        self, raw: FloatArray, speed: FloatArray, control: FloatArray
    ) -> tuple[FloatArray, BoolArray]:
        z = raw[:, self._height]
        healthy = (z > self._z[0]) & (z < self._z[1])
        contact = (self._contact * squares(raw[:, self._forces])).clip(*self._contact_range)
        costs = self._control * squares(control) + contact
        reward = self._forward * speed + healthy * self._alive - costs
        return reward, ~healthy if self._ends else np.zeros_like(healthy)


def squares(values: FloatArray) -> FloatArray:
    """Sum of squares of each row."""
    total: FloatArray = np.vecdot(values, values)
    return total


RULES: dict[str, Callable[[Mapping[str, Any], Columns], Judge]] = {
    "HalfCheetah": Racer,
    "Swimmer": Racer,
    "Hopper": Walker,
    "Walker2d": Walker,
    "Ant": Ant,
    "Humanoid": Humanoid,
}
"""The rules of each world."""
