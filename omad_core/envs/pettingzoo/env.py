"""Any PettingZoo ParallelEnv with Box actions, by `module:factory`, called with the arguments `env.args`.

Where a team needs one answer and the environment gives several:

reward    the SUM of what the agents received in the step (`team_reward = "sum"`, the default), or their mean
          (`team_reward = "mean"`: where all receive one reward, that one). Chosen in `env.args`, for all steps.
end       an agent that left early is seen as zeros and not asked again. The episode ends when none is left:
          terminated if every agent of its last step was, truncated if any of them was.
horizon   `max_episode_steps` of `env.args`, else the environment's attribute `max_cycles` or
          `max_episode_steps`, else 1,000. An episode that has not ended by then is truncated.
state     the environment's `state()`; where it has none, all observations one after the other.
seeds     modulo 2**32, which is what many environments take.

An environment with `save_state() -> dict of arrays` and `restore_state(that)` continues exactly. Any other
(`spec.resumable` is False) cannot be saved: a training that resumes counts its running episode as cut there,
and begins the next one.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from omad_core.envs.base import EnvState, FloatArray, Step, StepRaised
from omad_core.envs.factory import Factory
from omad_core.envs.rows import Rows
from omad_core.envs.saved import check_fit
from omad_core.envs.scaling import ActionScaling
from omad_core.errors import CheckpointError, TaskError
from omad_core.task import TaskSpec

OWN = "env."
"""Prefix of the arrays that the environment itself saved."""


class PettingZooEnv:
    """`num_envs` environments of a user's own, stepped one after the other. Implements `VectorEnv`."""

    def __init__(self, spec: TaskSpec, factory: Factory, num_envs: int) -> None:
        self.spec = spec
        self.num_envs = num_envs
        self._rows = Rows(spec, num_envs)
        self._scale = ActionScaling(spec)
        self._factory = factory
        self._envs = [factory.build() for _ in range(num_envs)]
        self._spaces = {agent: self._envs[0].action_space(agent) for agent in self._envs[0].possible_agents}
        self._real = np.arange(spec.obs_width) < np.array(spec.obs_dims)[:, None]
        self._obs = np.zeros((num_envs, spec.num_agents, spec.obs_width))
        self._state = np.zeros((num_envs, spec.state_dim))
        self._seeds = np.zeros(num_envs, dtype=np.uint64)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._over = np.zeros(num_envs, dtype=np.bool_)
        self._spoiled: set[int] = set()
        """Those that raised: what is left of them is not used again."""

    def reset(self, index: Sequence[int], seeds: Sequence[int]) -> None:
        """Start new episodes, each determined by its seed as far as the environment heeds it.

        One that raised before is built anew. Raises whatever an environment raises.
        """
        for i, seed in zip(self._rows(index).tolist(), seeds, strict=True):
            if i in self._spoiled:
                self._rebuild(i)
            self._spoiled.add(i)
            self._seeds[i], self._elapsed[i] = int(seed) % 2**32, 0
            observations, _ = self._envs[i].reset(seed=int(self._seeds[i]))
            self._see(i, observations)
            if not self._envs[i].agents:
                raise TaskError(f"{self.spec.name} has no agents after a reset; an episode needs one")
            self._over[i] = False
            self._spoiled.discard(i)

    def _rebuild(self, i: int) -> None:
        with suppress(Exception):
            self._envs[i].close()
        self._envs[i] = self._factory.build()

    def _see(self, i: int, observations: Mapping[Any, Any]) -> None:
        """Keep what the agents see, zeros for those that left, and the global state."""
        self._obs[i] = 0
        for agent, name in enumerate(self._spaces):
            if name in observations:
                self._obs[i, agent, : self.spec.obs_dims[agent]] = np.ravel(observations[name])
        own = self._envs[i].state() if self._factory.has_state else self._obs[i][self._real]
        self._state[i] = np.ravel(own)

    def observe(self) -> tuple[FloatArray, FloatArray]:
        """Observations [num_envs, A, O] and states [num_envs, S] of all environments as they stand."""
        return self._obs.copy(), self._state.copy()

    def step(self, actions: FloatArray, index: Sequence[int] | None = None) -> Step:
        """Step the environments `index` (default: all) with actions [n, A, U] in [-1, 1]."""
        rows = self._rows(index)
        self._rows.check(actions, rows)
        answers, errors = [], {}
        for i, joint in zip(rows.tolist(), self._scale(actions), strict=True):
            if self._over[i]:
                raise TaskError(
                    f"environment {i} of {self.spec.name} has ended; reset it before the next step"
                )
            try:
                answers.append(self._step_one(i, joint))
            except Exception as error:  # noqa: BLE001 - the border to a user's code: its neighbours go on
                errors[i] = error
                self._spoiled.add(i)
                answers.append((0.0, True, False))
        reward, terminated, truncated = (np.array(answer) for answer in zip(*answers, strict=True))
        answer = Step(self._obs[rows], self._state[rows], reward, terminated, truncated)
        if errors:
            raise StepRaised(self.spec.name, errors, answer) from next(iter(errors.values()))
        return answer

    def _step_one(self, i: int, joint: FloatArray) -> tuple[float, bool, bool]:
        env = self._envs[i]
        observations, rewards, terminated, truncated, _ = env.step(self._in_units(env.agents, joint))
        self._see(i, observations)
        self._elapsed[i] += 1
        self._over[i] = not env.agents
        ended, cut = _ends(env.agents, terminated, truncated)
        return self._team_reward(rewards), ended, cut or bool(self._elapsed[i] >= self.spec.horizon)

    def _in_units(self, present: Sequence[Any], joint: FloatArray) -> dict[Any, Any]:
        """Actions of the agents still there, in shape, type and bounds of their spaces."""
        given = {}
        for row, (name, space) in zip(joint, self._spaces.items(), strict=True):
            if name in present:
                action = row[: space.low.size].reshape(space.shape).astype(space.dtype)
                # Environments may refuse actions beyond their box.
                given[name] = action.clip(space.low, space.high)
        return given

    def _team_reward(self, rewards: Mapping[Any, float]) -> float:
        values = [float(rewards[name]) for name in self._spaces if name in rewards]
        total = sum(values)
        return total / max(len(values), 1) if self._factory.team_reward == "mean" else float(total)

    def save(self, index: int) -> EnvState:
        """Exact state of one environment. Raises CheckpointError where it cannot save itself, or fails to."""
        self._refuse_unless_resumable()
        try:
            own = self._envs[index].save_state()
            return {**self._kept(index), **{OWN + name: np.array(value) for name, value in own.items()}}
        except Exception as error:
            self._spoiled.add(index)
            raise CheckpointError(f"{self.spec.name} could not save its state: {error!r}") from error

    def _refuse_unless_resumable(self) -> None:
        if not self.spec.resumable:
            raise CheckpointError(
                f"{self.spec.name} cannot save its state; give it the methods save_state and restore_state"
            )

    def _kept(self, index: int) -> EnvState:
        return {
            "seed": np.array(self._seeds[index]),
            "elapsed": np.array(self._elapsed[index]),
            "obs": self._obs[index].copy(),
            "state": self._state[index].copy(),
        }

    def restore(self, index: int, state: EnvState) -> None:
        """Put one environment into a saved state. Raises CheckpointError where that does not fit or is refused."""
        self._refuse_unless_resumable()
        own = {name.removeprefix(OWN): value for name, value in state.items() if name.startswith(OWN)}
        kept = {name: value for name, value in state.items() if not name.startswith(OWN)}
        check_fit(kept, self._kept(index), self.spec.name)
        self.reset([index], [int(state["seed"])])
        self._spoiled.add(index)
        try:
            self._envs[index].restore_state(own)
        except (KeyError, ValueError, TypeError) as error:
            raise CheckpointError(f"{self.spec.name} refused its saved state: {error!r}") from error
        self._spoiled.discard(index)
        self._obs[index], self._state[index] = state["obs"], state["state"]
        self._elapsed[index] = state["elapsed"]

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            env.close()


def _ends(
    left: Sequence[Any], terminated: Mapping[Any, bool], truncated: Mapping[Any, bool]
) -> tuple[bool, bool]:
    """Whether an episode has ended for all agents: (terminated, truncated)."""
    if left and not all(terminated.get(name) or truncated.get(name) for name in left):
        return False, False
    cut = any(truncated.values())
    return all(terminated.values()) or not cut, cut
