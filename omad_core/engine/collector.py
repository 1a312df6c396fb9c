"""The collector: steps the training environments of all members and fills their replay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omad_core.checkpoint.state import check_array
from omad_core.config import TrainConfig
from omad_core.engine.replay import Replay
from omad_core.envs.base import EnvState, Step, StepRaised, VectorEnv
from omad_core.errors import CheckpointError
from omad_core.rng.streams import Stream, derive, env_seeds

EXPLORE_BLOCK = 64


@dataclass
class Episodes:
    """One member's episodes in training: those running and those that ended since the last log."""

    begun: list[int]
    returns: list[float]
    lengths: list[int]
    ended_returns: list[float] = field(default_factory=list)
    ended_lengths: list[int] = field(default_factory=list)

    @classmethod
    def from_record(cls, values: Any) -> "Episodes":
        """From the record of a checkpoint. Raises CheckpointError."""
        try:
            return cls(**{name: list(each) for name, each in dict(values).items()})
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint's running episodes cannot be read: {error}") from error

    def record(self) -> dict[str, list[Any]]:
        """A copy for a checkpoint, which later steps leave as it is."""
        return {name: list(each) for name, each in vars(self).items()}

    def count(self, rewards: NDArray[np.float64], ended: NDArray[np.bool_]) -> None:
        """One vector step: rewards and ends, [E]."""
        for env, reward in enumerate(rewards):
            self.returns[env] += float(reward)
            self.lengths[env] += 1
            if ended[env]:
                self.ended_returns.append(self.returns[env])
                self.ended_lengths.append(self.lengths[env])
                self.returns[env], self.lengths[env] = 0.0, 0

    def read(self) -> dict[str, float]:
        """Means over the episodes that ended since the last reading."""
        if not self.ended_returns:
            return {}
        values = {
            "train/return_mean": float(np.mean(self.ended_returns)),
            "train/episode_length": float(np.mean(self.ended_lengths)),
        }
        self.ended_returns, self.ended_lengths = [], []
        return values


class Collector:
    """Environments [capacity * E] in one vector; lane p owns p * E to (p + 1) * E."""

    def __init__(self, env: VectorEnv, replay: Replay, capacity: int, envs: int) -> None:
        self.env, self._replay, self._envs = env, replay, envs
        spec = env.spec
        self._seen_width = spec.num_agents * spec.obs_width + spec.state_dim
        self.obs = np.zeros((capacity, envs, spec.num_agents, spec.obs_width), np.float32)
        self._explore = np.zeros(
            (capacity, EXPLORE_BLOCK, envs, spec.num_agents, spec.action_width), np.float32
        )
        self._explore_block = [-1] * capacity
        self.episodes = [self._no_episodes() for _ in range(capacity)]

    def _no_episodes(self) -> Episodes:
        return Episodes([0] * self._envs, [0.0] * self._envs, [0] * self._envs)

    def _range(self, lane: int) -> range:
        return range(lane * self._envs, (lane + 1) * self._envs)

    def start(self, lane: int, config: TrainConfig) -> None:
        """First episodes of a new member."""
        self.episodes[lane] = self._no_episodes()
        self._explore_block[lane] = -1
        self._replay.clear(lane)
        for env in range(self._envs):
            self._begin(lane, env, config)
        self._show([lane])

    def _begin(self, lane: int, env: int, config: TrainConfig) -> None:
        episodes = self.episodes[lane]
        seeds = env_seeds(config.seed, Stream.RESET, env, range(episodes.begun[env], episodes.begun[env] + 1))
        self.env.reset([lane * self._envs + env], seeds)
        episodes.begun[env] += 1

    def _show(self, lanes: Sequence[int]) -> None:
        obs, state = self.env.observe()
        index = [i for lane in lanes for i in self._range(lane)]
        observed = self._join(obs[index], state[index]).reshape(len(lanes), self._envs, -1)
        self._replay.show(lanes, observed)
        self.obs[list(lanes)] = obs[index].reshape(len(lanes), self._envs, *obs.shape[1:])

    @staticmethod
    def _join(obs: NDArray[Any], state: NDArray[Any]) -> NDArray[np.float32]:
        return np.concatenate([obs.reshape(len(obs), -1), state], 1, dtype=np.float32)

    def random_actions(self, lane: int, vector_step: int, seed: int) -> NDArray[np.float32]:
        """Uniform actions of one member for one vector step: [E, A, U]."""
        block, at = divmod(vector_step, EXPLORE_BLOCK)
        if self._explore_block[lane] != block:
            rng = np.random.default_rng(derive(seed, Stream.EXPLORE, block))
            self._explore[lane] = rng.uniform(-1.0, 1.0, self._explore.shape[1:])
            self._explore_block[lane] = block
        drawn: NDArray[np.float32] = self._explore[lane, at]
        return drawn

    def step(
        self, lanes: Sequence[int], configs: Sequence[TrainConfig], actions: NDArray[np.float32]
    ) -> dict[int, Exception]:
        """One vector step of these members with actions [n, E, A, U]; ended episodes begin anew.

        By lane: what environments raised. Their members are broken; the others have made their step.
        """
        answer, errors = self._ask(lanes, actions)
        if errors:
            rows = [row for row, lane in enumerate(lanes) if lane not in errors]
            if not rows:
                return errors
            answer = self._some(answer, rows)
            lanes, configs, actions = [lanes[r] for r in rows], [configs[r] for r in rows], actions[rows]
        return errors | self._take(lanes, configs, actions, answer)

    def _ask(self, lanes: Sequence[int], actions: NDArray[np.float32]) -> tuple[Step, dict[int, Exception]]:
        index = [i for lane in lanes for i in self._range(lane)]
        flat = actions.reshape(len(index), *actions.shape[2:]).astype(np.float64)
        try:
            return self.env.step(flat, None if len(index) == self.env.num_envs else index), {}
        except StepRaised as raised:
            return raised.answer, {i // self._envs: error for i, error in raised.errors.items()}

    def _some(self, answer: Step, rows: Sequence[int]) -> Step:
        """Of an answer, that of some members."""

        def some(part: NDArray[Any]) -> NDArray[Any]:
            by_member = part.reshape(-1, self._envs, *part.shape[1:])
            return by_member[list(rows)].reshape(-1, *part.shape[1:])

        return Step(*(some(part) for part in answer))

    def _take(
        self,
        lanes: Sequence[int],
        configs: Sequence[TrainConfig],
        actions: NDArray[np.float32],
        answer: Step,
    ) -> dict[int, Exception]:
        """Store a step and reset the environments whose episodes ended; by lane, what these raised."""
        size = (len(lanes), self._envs)
        errors: dict[int, Exception] = {}
        ended = (answer.terminated | answer.truncated).reshape(size)
        reward = np.asarray(answer.reward).reshape(size)
        self._replay.put(
            lanes,
            actions.reshape(*size, -1),
            reward,
            answer.terminated.reshape(size),
            ended,
            self._join(answer.obs, answer.state).reshape(*size, -1),
        )
        for row, (lane, config) in enumerate(zip(lanes, configs, strict=True)):
            self.episodes[lane].count(reward[row], ended[row])
            try:
                for env in np.flatnonzero(ended[row]):
                    self._begin(lane, int(env), config)
            except Exception as error:  # noqa: BLE001 - the border to a user's code: its neighbours continue
                errors[lane] = error
        self._show(lanes)
        return errors

    def row(self, lane: int) -> dict[str, NDArray[np.generic]]:
        """States of one member's environments and what they show."""
        arrays: dict[str, NDArray[np.generic]] = {}
        obs, state = self.env.observe()
        arrays["env/seen"] = self._join(obs[list(self._range(lane))], state[list(self._range(lane))])
        if self.env.spec.resumable:
            for env, index in enumerate(self._range(lane)):
                arrays |= {f"env/{env}/{name}": array for name, array in self.env.save(index).items()}
        return arrays

    def load(
        self, lane: int, config: TrainConfig, arrays: Mapping[str, NDArray[np.generic]], episodes: Episodes
    ) -> bool:
        """Resume a member whose environments were restored and whose replay is loaded.

        False: its environments cannot save themselves, so their episodes begin anew.
        """
        self.episodes[lane] = episodes
        self._explore_block[lane] = -1
        if not self.env.spec.resumable:
            self._cut(lane, config, arrays)
        self._show([lane])
        return self.env.spec.resumable

    def restore(self, lane: int, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Put the environments of a free lane into their saved states. Raises CheckpointError."""
        if self.env.spec.resumable:
            for env, index in enumerate(self._range(lane)):
                self.env.restore(index, _state_of(env, arrays))
        else:
            check_array(arrays, "env/seen", (self._envs, self._seen_width))

    def _cut(self, lane: int, config: TrainConfig, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Truncate the running episodes, which cannot be resumed, at their last steps."""
        episodes = self.episodes[lane]
        self._replay.truncate(lane, np.asarray(arrays["env/seen"], np.float32))
        for env in range(self._envs):
            episodes.returns[env], episodes.lengths[env] = 0.0, 0
            self._begin(lane, env, config)


def _state_of(env: int, arrays: Mapping[str, NDArray[np.generic]]) -> EnvState:
    prefix = f"env/{env}/"
    state = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
    if not state:
        raise CheckpointError(
            f"the checkpoint holds no state of environment {env}; it was made with fewer environments"
        )
    return state
