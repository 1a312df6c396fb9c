"""Evaluation: whole episodes of the members' current policies, in steps small enough to be interrupted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from omad_core.algorithm.learner import Learner
from omad_core.config import TrainConfig
from omad_core.engine.transfer import fetch, send
from omad_core.envs.base import FloatArray, Step, StepRaised, VectorEnv
from omad_core.rng.draw_blocks import DrawBlocks
from omad_core.rng.streams import Stream, env_seeds

NOISE_BLOCK = 64


@dataclass(frozen=True)
class Subject:
    """A member under evaluation."""

    lane: int
    config: TrainConfig
    vector_step: int


class Evaluation:
    """Episodes of several members at once; the weights stay as they are until it is done."""

    def __init__(
        self, env: VectorEnv, learner: Learner, noise: DrawBlocks, subjects: Sequence[Subject]
    ) -> None:
        self._env, self._learner, self._noise, self._subjects = env, learner, noise, subjects
        self._episodes = learner.config.evaluation.episodes
        self._alive = np.zeros(env.num_envs, np.bool_)
        self._returns, self._lengths = np.zeros(env.num_envs), np.zeros(env.num_envs, np.int64)
        self._t = 0
        self.errors: dict[int, Exception] = {}
        """By lane: what a user's environments raised. These subjects have no result."""
        for subject in subjects:
            self._begin(subject)

    def _begin(self, subject: Subject) -> None:
        index = list(self._range(subject.lane))
        try:
            self._env.reset(index, [s for e in range(self._episodes) for s in self._seed(subject, e)])
        except Exception as error:  # noqa: BLE001 - the border to a user's code: the others continue
            self.errors[subject.lane] = error
        else:
            self._alive[index] = True

    def _range(self, lane: int) -> range:
        return range(lane * self._episodes, (lane + 1) * self._episodes)

    @staticmethod
    def _seed(subject: Subject, episode: int) -> list[int]:
        at = subject.vector_step
        return env_seeds(subject.config.seed, Stream.EVALUATION_RESET, episode, range(at, at + 1))

    @property
    def done(self) -> bool:
        """Whether all episodes of all subjects have ended."""
        return not self._alive.any()

    def step(self) -> None:
        """One step of every episode that is still running."""
        obs, _ = self._env.observe()
        spec = self._env.spec
        size = (self._learner.capacity, self._episodes)
        observed = send(obs.astype(np.float32).reshape(*size, *obs.shape[1:]), self._learner.device)
        drawn = self._learner.act(observed.transpose(1, 2), self._draw()).transpose(1, 2)
        actions = fetch(drawn)().reshape(-1, spec.num_agents, spec.action_width)
        index = np.flatnonzero(self._alive)
        answer = self._ask(np.nan_to_num(actions[index].astype(np.float64)), index.tolist())
        self._returns[index] += answer.reward
        self._lengths[index] += 1
        self._alive[index[answer.terminated | answer.truncated]] = False
        for lane in self.errors:
            self._alive[list(self._range(lane))] = False
        self._t += 1

    def _ask(self, actions: FloatArray, index: Sequence[int]) -> Step:
        try:
            return self._env.step(actions, index)
        except StepRaised as raised:
            self.errors |= {i // self._episodes: error for i, error in raised.errors.items()}
            return raised.answer

    def _draw(self) -> torch.Tensor:
        horizon = -(-self._env.spec.horizon // NOISE_BLOCK) * NOISE_BLOCK
        positions = [self._t] * self._learner.capacity
        for subject in self._subjects:
            position = subject.vector_step * horizon + self._t
            positions[subject.lane] = position
            if not subject.config.evaluation.deterministic:
                self._noise.at(
                    position, subject.lane, subject.config.seed, self._learner.noises(subject.config)
                )
        return self._noise.gather(positions)

    def drop(self, lane: int) -> None:
        """Stop the episodes of a subject whose result is no longer needed."""
        self._alive[list(self._range(lane))] = False
        self._subjects = [subject for subject in self._subjects if subject.lane != lane]

    def result(self, subject: Subject) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """Returns and lengths of a subject's episodes."""
        index = list(self._range(subject.lane))
        return tuple(self._returns[index].tolist()), tuple(int(n) for n in self._lengths[index])
