"""MAMuJoCo, native: one MjData an environment; observation, reward and end computed for all at once.

In parity with `gymnasium_robotics.mamujoco_v1` on gymnasium's v5 worlds. Actions beyond [-1, 1] are not
clipped here: the physics clamps them at the actuators' limits, while the control cost counts them as given.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from omad_core.envs.base import EnvState, FloatArray, Step
from omad_core.envs.finiteness import check_reward
from omad_core.envs.mujoco.bodies import Body
from omad_core.envs.mujoco.readings import Readings
from omad_core.envs.mujoco.rules import RULES
from omad_core.envs.mujoco.warnings_log import log_warnings
from omad_core.envs.rows import Rows
from omad_core.envs.saved_state import check_fit, generator
from omad_core.envs.scaling import ActionScaling
from omad_core.task import TaskSpec

PHYSICS = mujoco.mjtState.mjSTATE_INTEGRATION
# Only these observe contact forces, which a plain step leaves uncomputed.
FEELS_CONTACT = frozenset({"Ant", "Humanoid"})
# Velocities start normally distributed in these, uniformly in the others.
NORMAL_START = frozenset({"HalfCheetah", "Ant"})


class MujocoEnv:
    """`num_envs` copies of one MAMuJoCo task. Implements `VectorEnv`."""

    def __init__(self, spec: TaskSpec, body: Body, num_envs: int, threads: int = 1) -> None:
        self.spec = spec
        self.num_envs = num_envs
        self._rows = Rows(spec, num_envs)
        self._scale = ActionScaling(spec)
        self._body = body
        self._model = body.model
        self._data = [mujoco.MjData(body.model) for _ in range(num_envs)]
        self._readings = Readings(body, self._data[0])
        self._judge = RULES[body.scenario](body.args, self._readings.fields)
        self._raw = np.zeros((num_envs, self._readings.width + 1))
        self._raw_rows = [row[:-1] for row in self._raw]
        self._sources = [self._readings.sources(data) for data in self._data]
        self._controls = [data.ctrl for data in self._data]
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        log_warnings()
        self._threads = min(threads, num_envs)
        self._pool = ThreadPoolExecutor(self._threads - 1) if self._threads > 1 else None

    def reset(self, index: Sequence[int], seeds: Sequence[int]) -> None:
        """Start new episodes, with the very draws of gymnasium's `reset(seed=seed)`."""
        for i, seed in zip(self._rows(index), seeds, strict=True):
            self._start(self._data[i], generator(seed))
            self._read(i)
            self._elapsed[i] = 0

    def _start(self, data: Any, draw: np.random.Generator) -> None:
        scale, model = self._body.args["reset_noise_scale"], self._model
        mujoco.mj_resetData(model, data)
        data.qpos[:] = self._body.init_qpos + draw.uniform(-scale, scale, size=model.nq)
        if self._body.scenario in NORMAL_START:
            data.qvel[:] = self._body.init_qvel + scale * draw.standard_normal(model.nv)
        else:
            data.qvel[:] = self._body.init_qvel + draw.uniform(-scale, scale, size=model.nv)
        mujoco.mj_forward(model, data)

    def observe(self) -> tuple[FloatArray, FloatArray]:
        """Observations [num_envs, A, O] and states [num_envs, S] of all environments as they stand."""
        return self._readings.views_and_state(self._raw)

    def step(self, actions: FloatArray, index: Sequence[int] | None = None) -> Step:
        """Step the environments `index` (default: all) with actions [n, A, U] in [-1, 1]. Raises StepRaised."""
        rows = self._rows(index)
        self._rows.check(actions, rows)
        picked: slice | NDArray[np.int64] = slice(None) if index is None else rows
        control = self._scale(actions).reshape(len(rows), -1).take(self._body.actuator_of, axis=1)
        before = self._readings.position(self._raw[picked])
        self._simulate(rows, control)
        raw = self._raw[picked]
        speed = (self._readings.position(raw) - before) / self._body.dt
        reward, terminated = self._judge(raw, speed, control)
        self._elapsed[picked] += 1
        truncated = self._elapsed[picked] >= self.spec.horizon
        answer = Step(*self._readings.views_and_state(raw), reward, terminated, truncated)
        # What is seen is finite: MuJoCo itself puts a world back whose coordinates are not, and warns.
        check_reward(self.spec.name, rows, self._elapsed[picked], answer)
        return answer

    def _simulate(self, rows: NDArray[np.int64], control: FloatArray) -> None:
        """Advance the physics of each row, shared out among the threads."""
        if self._pool is None or len(rows) == 1:
            self._advance(rows, control)
            return
        shares = list(
            zip(np.array_split(rows, self._threads), np.array_split(control, self._threads), strict=True)
        )
        waiting = [self._pool.submit(self._advance, *share) for share in shares[1:]]
        self._advance(*shares[0])
        for future in waiting:
            future.result()

    def _advance(self, rows: NDArray[np.int64], control: FloatArray) -> None:
        model, frame_skip = self._model, self._body.frame_skip
        feels_contact = self._body.scenario in FEELS_CONTACT
        for i, values in zip(rows.tolist(), control, strict=True):
            data = self._data[i]
            self._controls[i][:] = values
            mujoco.mj_step(model, data, frame_skip)
            if feels_contact:
                mujoco.mj_rnePostConstraint(model, data)
            self._read(i)

    def _read(self, i: int) -> None:
        np.concatenate(self._sources[i], out=self._raw_rows[i])

    def save(self, index: int) -> EnvState:
        """Physics with its warm start, what was last read of it, steps taken; a reset alone is random."""
        physics = np.empty(mujoco.mj_stateSize(self._model, PHYSICS))
        mujoco.mj_getState(self._model, self._data[index], physics, PHYSICS)
        return {
            "physics": physics,
            "raw": self._raw[index].copy(),
            "elapsed": self._elapsed[index : index + 1].copy(),
        }

    def restore(self, index: int, state: EnvState) -> None:
        """Put one environment into a saved state. Raises CheckpointError where it does not fit."""
        check_fit(state, self.save(index), self.spec.name)
        mujoco.mj_resetData(self._model, self._data[index])
        mujoco.mj_setState(self._model, self._data[index], state["physics"], PHYSICS)
        # Positions of bodies and forces lag one substep behind the coordinates: none can compute them again.
        self._raw[index] = state["raw"]
        self._elapsed[index] = state["elapsed"][0]

    def close(self) -> None:
        """Free threads."""
        if self._pool is not None:
            self._pool.shutdown()
