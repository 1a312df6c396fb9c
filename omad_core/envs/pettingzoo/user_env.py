"""One environment of a user's own, behind the border: its answers are checked, and kept as padded arrays."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from omad_core.envs.base import EnvState, FloatArray
from omad_core.envs.finiteness import LARGEST, trainable
from omad_core.envs.pettingzoo import answers, factory, spaces
from omad_core.envs.pettingzoo.border import Border
from omad_core.envs.pettingzoo.factory import Factory
from omad_core.errors import EnvironmentFailed, TaskError
from omad_core.task import TaskSpec

log = logging.getLogger(__name__)


class UserEnv:
    """Raises EnvironmentFailed for whatever goes wrong in the user's code; what is left of it is then of no use."""

    def __init__(self, spec: TaskSpec, made: Factory, seen: FloatArray) -> None:
        """seen: [A * O + S], where observations and state are kept."""
        self._task, self._spec, self._made = spec.name, spec, made
        self._border = Border(spec.name)
        joint = spec.num_agents * spec.obs_width
        self._seen, self._obs, self._state = seen, seen[:joint], seen[joint:]
        by_agent = self._obs.reshape(spec.num_agents, spec.obs_width)
        self._slots = {
            name: row[:dim].reshape(space.observation.shape)
            for (name, space), row, dim in zip(made.spaces.items(), by_agent, spec.obs_dims, strict=True)
        }
        self._real = (np.arange(spec.obs_width) < np.array(spec.obs_dims)[:, None]).reshape(-1)
        self.elapsed, self.over = 0, False
        self._env = made.build()
        try:
            self._check_agents()
        except Exception:
            self.close()
            raise

    def _check_agents(self) -> None:
        by_agent = spaces.read(self._border, self._env)
        if by_agent.keys() != self._made.spaces.keys():
            raise EnvironmentFailed(
                f"{self._task}: its agents were {_names(self._made.spaces)} and are now {_names(by_agent)}; "
                "every environment of a task needs the same ones"
            )
        for agent, agent_spaces in by_agent.items():
            spaces.check_same(self._task, agent, agent_spaces, self._made.spaces[agent])

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        self.elapsed, self.over = 0, False
        with self._border.during("reset", watched=True):
            answer = self._env.reset(**({"seed": seed} if self._made.seeded else {}))
            observations = answers.of_reset(self._task, answer)
            present = self._present()
            self._see(observations, present)
        if not present:
            raise TaskError(f"{self._task} has no agents after a reset; an episode needs one")
        for agent in present:
            spaces.check_same(
                self._task, agent, spaces.of_agent(self._border, self._env, agent), self._made.spaces[agent]
            )
        self._see_state()
        self._check_seen()

    def step(self, joint: FloatArray) -> tuple[float, bool, bool]:
        """Team reward, terminated, truncated; joint: [A, U] in the environment's units."""
        self.elapsed += 1
        with self._border.during("step", self.elapsed):
            actions = self._in_units(self._env.agents, joint)
            answer = self._env.step(actions)
            observations, rewards, terminated, truncated = answers.of_step(self._task, answer)
            present = self._present()
            self._see(observations, present)
            reward = self._team_reward(rewards, present)
            ended, cut = _ends(present, terminated, truncated)
        self.over = not present
        cut = cut or self.elapsed >= self._spec.horizon
        # Nothing is learned from the state after an end, and many environments have none any more.
        if not (ended and self._made.state == "auto"):
            self._see_state(self.elapsed)
        self._check_seen()
        return reward, ended, cut

    def _present(self) -> Sequence[Any]:
        """The agents that are there. Raises EnvironmentFailed for one that has no space."""
        present: Sequence[Any] = self._env.agents
        for name in present:
            if name not in self._slots:
                raise EnvironmentFailed(
                    f"{self._task}: agent {name} is there, but not among its possible_agents {_names(self._slots)}"
                )
        return present

    def _in_units(self, present: Sequence[Any], joint: FloatArray) -> dict[Any, Any]:
        """Actions of the agents still there, in shape, type and bounds of their spaces."""
        given = {}
        for row, (name, agent_spaces) in zip(joint, self._made.spaces.items(), strict=True):
            if name in present:
                space = agent_spaces.action
                action = row[: space.low.size].reshape(space.shape).astype(space.dtype)
                # Environments may refuse actions beyond their box.
                given[name] = action.clip(space.low, space.high)
        return given

    def _see(self, observations: Mapping[Any, Any], present: Sequence[Any]) -> None:
        """Keep what the agents see, zeros for those that left."""
        self._obs[:] = 0
        for name, slot in self._slots.items():
            if name in observations:
                observation = observations[name]
                if (
                    type(observation) is not np.ndarray
                    or observation.shape != slot.shape
                    or observation.dtype.kind not in "fiub"
                ):
                    observation = answers.numbers(
                        self._task, f"the observation of agent {name}", observation, slot.shape
                    )
                slot[...] = observation
            elif name in present:
                raise EnvironmentFailed(
                    f"{self._task}: there is no observation of agent {name} {self._when()}"
                )

    def _see_state(self, step: int | None = None) -> None:
        """Keep the global state."""
        if self._made.state == "observations":
            self._state[:] = self._obs[self._real]
            return
        with self._border.during("state", step):
            state = np.asarray(self._env.state(), dtype=np.float64)
        if state.size != self._spec.state_dim:
            raise EnvironmentFailed(
                f"{self._task}: state() gave {state.size} numbers {self._when()} and {self._spec.state_dim} at first; "
                "--set env.state=observations does without it"
            )
        self._state[:] = state.reshape(-1)

    def _check_seen(self) -> None:
        if trainable(self._seen):
            return
        for name, slot in self._slots.items():
            answers.refuse_not_finite(self._task, f"the observation of agent {name}", self._when(), slot)
        answers.refuse_not_finite(self._task, "the global state", self._when(), self._state)

    def _team_reward(self, rewards: Mapping[Any, Any], present: Sequence[Any]) -> float:
        values = [
            value
            if type(value) is float
            else answers.number(self._task, f"the reward of agent {name}", value)
            for name, value in self._rewards(rewards, present)
        ]
        total = sum(values)
        if self._made.team_reward == "mean":
            total /= max(len(values), 1)
        if not abs(total) < LARGEST:
            for name, value in self._rewards(rewards, present):
                answers.refuse_not_finite(self._task, f"the reward of agent {name}", self._when(), value)
            answers.refuse_not_finite(self._task, "the team reward", self._when(), total)
        return float(total)

    def _rewards(self, rewards: Mapping[Any, Any], present: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        for name in self._slots:
            if name in rewards:
                yield name, rewards[name]
            elif name in present:
                raise EnvironmentFailed(f"{self._task}: there is no reward of agent {name} {self._when()}")

    def _when(self) -> str:
        return f"at step {self.elapsed} of the environment" if self.elapsed else "after a reset"

    def save(self) -> EnvState:
        """What the environment saves of itself."""
        with self._border.during("save_state", self.elapsed):
            saved = {str(name): np.array(value) for name, value in self._env.save_state().items()}
        for name, array in saved.items():
            if array.dtype.kind not in "fiub":
                raise EnvironmentFailed(
                    f"{self._task}: save_state gave {name!r} as {array.dtype}; only arrays of numbers can be saved"
                )
        return saved

    def restore(self, state: EnvState) -> None:
        """Give back what it saved."""
        with self._border.during("restore_state"):
            self._env.restore_state(state)

    def close(self) -> None:
        """Close it; a failure is logged."""
        factory.close(self._border, self._env)


def _names(agents: Mapping[Any, Any]) -> str:
    return ", ".join(str(agent) for agent in agents)


def _ends(
    left: Sequence[Any], terminated: Mapping[Any, bool], truncated: Mapping[Any, bool]
) -> tuple[bool, bool]:
    """Whether an episode has ended for all agents: (terminated, truncated)."""
    if left and not all(terminated.get(name) or truncated.get(name) for name in left):
        return False, False
    cut = any(truncated.values())
    return all(terminated.values()) or not cut, cut
