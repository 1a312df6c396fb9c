"""Any PettingZoo ParallelEnv with Box actions, by `module:factory`, called with the arguments `env.args`.

Where a team needs one answer and the environment gives several:

reward    the SUM of what the agents received in the step (`team_reward = "sum"`, the default), or their mean
          (`team_reward = "mean"`: where all receive one reward, that one). Chosen in `env.args`, for all steps.
end       an agent that left early is seen as zeros and not asked again. The episode ends when none is left:
          terminated if every agent of its last step was, truncated if any of them was.
horizon   `max_episode_steps` of `env.args`, else the environment's attribute `max_cycles` or
          `max_episode_steps`, else 1,000. An episode that has not ended by then is truncated.
state     `env.state`: the environment's own `state()`, or all observations one after the other. `auto` is its own
          where it has one, which is not asked for after an end that nothing is learned beyond: there it stays.
seeds     modulo 2**32, which is what many environments take.

An environment with `save_state() -> dict of arrays` and `restore_state(that)` continues exactly. Any other
(`spec.resumable` is False) cannot be saved: a training that resumes counts its running episode as cut there,
and begins the next one.
"""

from collections.abc import Sequence

import numpy as np

from omad_core.envs.base import EnvState, FloatArray, Step, StepRaised
from omad_core.envs.pettingzoo.factory import Factory
from omad_core.envs.pettingzoo.user_env import UserEnv
from omad_core.envs.rows import Rows
from omad_core.envs.saved_state import check_fit
from omad_core.envs.scaling import ActionScaling
from omad_core.errors import CheckpointError, EnvironmentFailed, TaskError
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
        joint = spec.num_agents * spec.obs_width
        self._seen = np.zeros((num_envs, joint + spec.state_dim))
        self._obs = self._seen[:, :joint].reshape(num_envs, spec.num_agents, spec.obs_width)
        self._state = self._seen[:, joint:]
        self._seeds = np.zeros(num_envs, dtype=np.uint64)
        self._envs: list[UserEnv] = []
        self._spoiled: set[int] = set()
        """Those that failed: what is left of them is not used again."""
        try:
            for row in self._seen:
                self._envs.append(UserEnv(spec, factory, row))
        except Exception:
            self.close()
            raise

    def reset(self, index: Sequence[int], seeds: Sequence[int]) -> None:
        """Start new episodes, each determined by its seed as far as the environment heeds it.

        One that failed before is built anew. Raises EnvironmentFailed, TaskError.
        """
        for i, seed in zip(self._rows(index).tolist(), seeds, strict=True):
            if i in self._spoiled:
                self._rebuild(i)
            self._spoiled.add(i)
            self._seeds[i] = int(seed) % 2**32
            self._envs[i].reset(int(self._seeds[i]))
            self._spoiled.discard(i)

    def _rebuild(self, i: int) -> None:
        self._envs[i].close()
        self._envs[i] = UserEnv(self.spec, self._factory, self._seen[i])

    def observe(self) -> tuple[FloatArray, FloatArray]:
        """Observations [num_envs, A, O] and states [num_envs, S] of all environments as they stand."""
        return self._obs.copy(), self._state.copy()

    def step(self, actions: FloatArray, index: Sequence[int] | None = None) -> Step:
        """Step the environments `index` (default: all) with actions [n, A, U] in [-1, 1]. Raises StepRaised."""
        rows = self._rows(index)
        self._rows.check(actions, rows)
        answers, errors = [], {}
        for i, joint in zip(rows.tolist(), self._scale(actions), strict=True):
            if self._envs[i].over:
                raise TaskError(
                    f"environment {i} of {self.spec.name} has ended; reset it before the next step"
                )
            try:
                answers.append(self._envs[i].step(joint))
            except EnvironmentFailed as error:
                errors[i] = error
                self._spoiled.add(i)
                self._seen[i] = 0
                answers.append((0.0, True, False))
        reward, terminated, truncated = (np.array(answer) for answer in zip(*answers, strict=True))
        answer = Step(self._obs[rows], self._state[rows], reward, terminated, truncated)
        if errors:
            raise StepRaised(errors, answer) from next(iter(errors.values()))
        return answer

    def save(self, index: int) -> EnvState:
        """Exact state of one environment. Raises CheckpointError where it cannot save itself, or fails to."""
        self._refuse_unless_resumable()
        try:
            env_state = self._envs[index].save()
        except EnvironmentFailed as error:
            self._spoiled.add(index)
            raise CheckpointError(str(error)) from error
        return {**self._state_of(index), **{OWN + name: array for name, array in env_state.items()}}

    def _refuse_unless_resumable(self) -> None:
        if not self.spec.resumable:
            raise CheckpointError(
                f"{self.spec.name} cannot save its state; give it the methods save_state and restore_state"
            )

    def _state_of(self, index: int) -> EnvState:
        return {
            "seed": np.array(self._seeds[index]),
            "elapsed": np.array(self._envs[index].elapsed, dtype=np.int64),
            "obs": self._obs[index].copy(),
            "state": self._state[index].copy(),
        }

    def restore(self, index: int, state: EnvState) -> None:
        """Put one environment into a saved state. Raises CheckpointError where that does not fit or is refused."""
        self._refuse_unless_resumable()
        env_state = {name.removeprefix(OWN): value for name, value in state.items() if name.startswith(OWN)}
        kept = {name: value for name, value in state.items() if not name.startswith(OWN)}
        check_fit(kept, self._state_of(index), self.spec.name)
        self.reset([index], [int(state["seed"])])
        self._spoiled.add(index)
        try:
            self._envs[index].restore(env_state)
        except EnvironmentFailed as error:
            raise CheckpointError(str(error)) from error
        self._spoiled.discard(index)
        self._obs[index], self._state[index] = state["obs"], state["state"]
        self._envs[index].elapsed = int(state["elapsed"])

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            env.close()
