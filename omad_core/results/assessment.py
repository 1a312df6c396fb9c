"""Assessment: how good a finished policy is, on fresh episodes that no training and no search has seen."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from omad_core.config import EnvConfig
from omad_core.envs import make_env, make_spec
from omad_core.envs.base import VectorEnv
from omad_core.errors import ConfigError
from omad_core.policy import Policy
from omad_core.streams import Stream, derive, env_seeds, generator

MOST_AT_ONCE = 64

Act = Callable[[NDArray[np.float32], int], NDArray[np.float64]]
"""(obs [n, A, O], step) -> actions [n, A, U] in [-1, 1]."""


@dataclass(frozen=True)
class Assessment:
    """Undiscounted team returns and lengths of whole episodes."""

    returns: tuple[float, ...]
    lengths: tuple[int, ...]


def assess(policy: Policy, episodes: int, seed: int = 0, deterministic: bool = False) -> Assessment:
    """Play whole episodes with a policy; the same `seed` gives every policy the same starts.

    The policy's chain is sampled, as in training, unless `deterministic`; what is sampled depends on how many episodes
    are played at once (all of them, at most 64), so a sampled return is repeated with the same number of episodes.
    """
    noises = policy.actor.noises
    width, agents = policy.spec.action_width, policy.spec.num_agents

    def act(obs: NDArray[np.float32], step: int) -> NDArray[np.float64]:
        shape = (noises, 1, agents, len(obs), width)
        gen = generator(torch.device("cpu"), seed, Stream.FINAL, 1, step)
        noise = torch.zeros(shape) if deterministic else torch.randn(shape, generator=gen)
        seen = torch.from_numpy(obs).transpose(0, 1)[None]
        return policy.squashed(seen, noise)[0].transpose(0, 1).numpy().astype(np.float64)

    return _play(policy.spec.name, policy.env, episodes, seed, act)


def assess_random(task: str, env: EnvConfig, episodes: int, seed: int = 0) -> Assessment:
    """The same episodes with uniform actions: what a policy must beat to have learned anything."""
    rng = np.random.default_rng(derive(seed, Stream.RANDOM_PLAY, 0))
    spec = make_spec(task, env)

    def act(obs: NDArray[np.float32], step: int) -> NDArray[np.float64]:
        return rng.uniform(-1.0, 1.0, (len(obs), spec.num_agents, spec.action_width))

    return _play(task, env, episodes, seed, act)


def _play(task: str, env_config: EnvConfig, episodes: int, seed: int, act: Act) -> Assessment:
    if episodes < 1:
        raise ConfigError(f"episodes = {episodes}: at least one is needed")
    count = min(episodes, MOST_AT_ONCE)
    env = make_env(task, env_config, count)
    try:
        seeds = env_seeds(seed, Stream.FINAL, 0, range(episodes))
        return _play_all(env, seeds, act)
    finally:
        env.close()


def _play_all(env: VectorEnv, seeds: list[int], act: Act) -> Assessment:
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
    return Assessment(tuple(returns.tolist()), tuple(int(n) for n in lengths))
