"""Assessment: how good a finished policy is, on fresh episodes that no training and no search has seen."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from omad_core.config import EnvConfig
from omad_core.envs import make_env, make_spec
from omad_core.envs.base import VectorEnv
from omad_core.errors import ConfigError
from omad_core.policy import Policy
from omad_core.results.isolation import POSSIBLE, apart
from omad_core.results.isolation import Progress as Progress
from omad_core.rng.streams import Stream, derive, env_seeds

MOST_AT_ONCE = 64

Act = Callable[[NDArray[np.float32], int], NDArray[np.float64]]
"""(obs [n, A, O], step) -> actions [n, A, U] in [-1, 1]."""


def _unseen(ended: int, steps: int) -> None:
    """Progress that is shown nowhere."""


@dataclass(frozen=True)
class Assessment:
    """Undiscounted team returns and lengths of whole episodes."""

    returns: tuple[float, ...]
    lengths: tuple[int, ...]


def assess(
    policy: Policy,
    episodes: int,
    seed: int = 0,
    deterministic: bool = False,
    progress: Progress = _unseen,
) -> Assessment:
    """Play whole episodes with a policy; the same `seed` gives every policy the same starts.

    The policy's chain is sampled, as in training, unless `deterministic`; what is sampled depends on how many episodes
    are played at once (all of them, at most 64), so a sampled return is repeated with the same number of episodes.
    """

    def act(obs: NDArray[np.float32], step: int) -> NDArray[np.float64]:
        return policy.squashed_at(obs, seed, step, deterministic)

    return _play(policy.spec.name, policy.env, episodes, seed, act, progress)


def assess_random(
    task: str, env: EnvConfig, episodes: int, seed: int = 0, progress: Progress = _unseen
) -> Assessment:
    """The same episodes with uniform actions: what a policy must beat to have learned anything."""
    rng = np.random.default_rng(derive(seed, Stream.RANDOM_PLAY, 0))
    spec = make_spec(task, env)

    def act(obs: NDArray[np.float32], step: int) -> NDArray[np.float64]:
        return rng.uniform(-1.0, 1.0, (len(obs), spec.num_agents, spec.action_width))

    return _play(task, env, episodes, seed, act, progress)


def _play(
    task: str, env_config: EnvConfig, episodes: int, seed: int, act: Act, progress: Progress
) -> Assessment:
    if episodes < 1:
        raise ConfigError(f"episodes = {episodes}: at least one is needed")
    played = partial(_play_here, task, env_config, episodes, seed, act)
    # An environment of a user's own may do anything to its process.
    return apart(task, played, progress) if ":" in task and POSSIBLE else played(progress)


def _play_here(
    task: str, env_config: EnvConfig, episodes: int, seed: int, act: Act, progress: Progress
) -> Assessment:
    count = min(episodes, MOST_AT_ONCE)
    env = make_env(task, env_config, count)
    try:
        seeds = env_seeds(seed, Stream.FINAL, 0, range(episodes))
        return _play_all(env, seeds, act, progress)
    finally:
        env.close()


def _play_all(env: VectorEnv, seeds: list[int], act: Act, progress: Progress) -> Assessment:
    """Episodes in the order of their seeds; an environment whose episode ended takes the next seed."""
    episode = np.arange(env.num_envs)
    following = env.num_envs
    env.reset(list(range(env.num_envs)), seeds[: env.num_envs])
    returns, lengths = np.zeros(len(seeds)), np.zeros(len(seeds), np.int64)
    alive = np.ones(env.num_envs, np.bool_)
    step = 0
    while alive.any():
        obs, _ = env.observe()
        index = np.flatnonzero(alive)
        answer = env.step(act(obs.astype(np.float32), step)[index], index.tolist())
        returns[episode[index]] += answer.reward
        lengths[episode[index]] += 1
        step += 1
        for env_index in index[answer.terminated | answer.truncated]:
            if following < len(seeds):
                episode[env_index] = following
                env.reset([int(env_index)], [seeds[following]])
                following += 1
            else:
                alive[env_index] = False
        progress(following - int(alive.sum()), int(lengths.sum()))
    return Assessment(tuple(returns.tolist()), tuple(int(n) for n in lengths))
