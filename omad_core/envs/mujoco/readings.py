"""What is read from MuJoCo after a step, and how global states and local views are gathered from it.

Each environment has a raw row: the fields of its MjData that its world needs, one after the other, and a
zero at the end for padding. State and observations are columns of that row, some of them clipped.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omad_core.envs.base import FloatArray
from omad_core.envs.mujoco.bodies import HIDES_POSITION, Body

# Global state: fields in gymnasium's order, less the first entries (the place, unless asked for; the world body).
STATE = {
    "HalfCheetah": {"qpos": 1, "qvel": 0},
    "Hopper": {"qpos": 1, "qvel": 0},
    "Walker2d": {"qpos": 1, "qvel": 0},
    "Swimmer": {"qpos": 2, "qvel": 0},
    "Ant": {"qpos": 2, "qvel": 0, "cfrc_ext": 6},
    "Humanoid": {"qpos": 2, "qvel": 0, "cinert": 10, "cvel": 6, "qfrc_actuator": 6, "cfrc_ext": 6},
}
# Read beside the state: where the body is.
BODY_POSITION = {"Ant": "xpos", "Humanoid": "xipos"}


class Readings:
    """The layout of raw rows of one world, with the state, views and forward position in it."""

    def __init__(self, body: Body, data: Any) -> None:
        self.names = (
            *STATE[body.scenario],
            *([BODY_POSITION[body.scenario]] if body.scenario in BODY_POSITION else []),
        )
        sizes = [getattr(data, name).size for name in self.names]
        ends = np.cumsum(sizes).tolist()
        self.fields = {
            name: slice(end - size, end) for name, size, end in zip(self.names, sizes, ends, strict=True)
        }
        self.width: int = ends[-1]
        state = self._state_columns(body)
        views = self._view_columns(state, body.views)
        self._agents, self._joint = len(body.views), views.size
        # One gather for both: with few environments the number of NumPy calls is what counts.
        self._columns = np.concatenate([views, state])
        view_limits = _state_limits(body) if body.full_view else _view_limits(body)
        limits = [self._limits(view_limits)[:, views], self._limits(_state_limits(body))[:, state]]
        self._low, self._high = np.concatenate(limits, axis=1)
        self._limited = bool(np.isfinite(self._low).any() or np.isfinite(self._high).any())
        self._position_columns, self._position_weights = self._position(body)

    def sources(self, data: Any) -> list[FloatArray]:
        """Views into one MjData, in the order of a raw row."""
        return [getattr(data, name).reshape(-1) for name in self.names]

    def views_and_state(self, raw: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Observations [n, A, O] and states [n, S] in raw rows [n, R + 1]."""
        out = raw.take(self._columns, axis=1)
        if self._limited:
            np.maximum(out, self._low, out=out)
            np.minimum(out, self._high, out=out)
        return out[:, : self._joint].reshape(len(raw), self._agents, -1), out[:, self._joint :]

    def position(self, raw: FloatArray) -> FloatArray:
        """[n] forward position of each body, whose change is its speed."""
        if len(self._position_columns) == 1:
            return raw[:, self._position_columns[0]].copy()
        # `take`, not an index: its rows are contiguous, so a sum rounds alike whatever the number of rows.
        position: FloatArray = (raw.take(self._position_columns, axis=1) * self._position_weights).sum(axis=1)
        return position

    def _state_columns(self, body: Body) -> NDArray[np.int64]:
        skips = STATE[body.scenario] | ({} if body.args[HIDES_POSITION] else {"qpos": 0})
        parts = [np.arange(self.width)[self.fields[name]][skip:] for name, skip in skips.items()]
        return np.concatenate(parts)

    def _view_columns(
        self, state: NDArray[np.int64], views: tuple[NDArray[np.int64], ...]
    ) -> NDArray[np.int64]:
        """[A * O] columns of all agents' views, padded with the column of zeros."""
        columns = np.full((len(views), max(view.size for view in views)), self.width)
        for row, view in zip(columns, views, strict=True):
            row[: view.size] = state[view]
        return columns.reshape(-1)

    def _limits(self, limits: Mapping[str, tuple[float, float]]) -> FloatArray:
        """[2, R + 1] lowest and highest value of every column of a raw row."""
        bounds = np.tile(np.array([[-np.inf], [np.inf]]), self.width + 1)
        for name, ends in limits.items():
            bounds[:, self.fields[name]] = np.array(ends)[:, None]
        return bounds

    def _position(self, body: Body) -> tuple[NDArray[np.int64], FloatArray]:
        """Columns and weights of the forward position: a coordinate, one of its bodies, the centre of mass."""
        name = BODY_POSITION.get(body.scenario, "qpos")
        first = self.fields[name].start
        if name == "xpos":
            return np.array([first + 3 * body.args["main_body"]]), np.ones(1)
        if name == "xipos":
            mass = body.model.body_mass
            return first + 3 * np.arange(mass.size), mass / mass.sum()
        return np.array([first]), np.ones(1)


def _state_limits(body: Body) -> dict[str, tuple[float, float]]:
    if body.scenario in ("Hopper", "Walker2d"):
        return {"qvel": (-10.0, 10.0)}
    return {"cfrc_ext": body.args["contact_force_range"]} if body.scenario == "Ant" else {}


def _view_limits(body: Body) -> dict[str, tuple[float, float]]:
    """Local views are clipped otherwise: Walker2d's not at all, Ant's contact forces always to one."""
    if body.scenario == "Hopper":
        return {"qvel": (-10.0, 10.0)}
    return {"cfrc_ext": (-1.0, 1.0)} if body.scenario == "Ant" else {}
