"""Rows: the events of a trial's seeds, gathered into rows of its curve."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from search.slots.score import mean
from tracking.point import Row


class Gathering:
    """What the seeds of one trial said of a step, until all have."""

    def __init__(self, seeds: int) -> None:
        self._seeds = seeds
        self._training: dict[int, dict[int, Mapping[str, float]]] = {}
        self._evaluations: dict[int, dict[int, tuple[Sequence[float], Sequence[int]]]] = {}

    def trained(self, seed: int, step: int, metrics: Mapping[str, float]) -> Row | None:
        """Metrics of one seed; the row once all seeds have given theirs: means over the seeds."""
        said = self._training.setdefault(step, {})
        said[seed] = metrics
        if len(said) < self._seeds:
            return None
        del self._training[step]
        names = dict.fromkeys(name for values in said.values() for name in values)
        means = {n: mean([values[n] for values in said.values() if n in values]) for n in names}
        return _row(step, means)

    def evaluated(self, seed: int, step: int, returns: Sequence[float], lengths: Sequence[int]) -> Row | None:
        """Episodes of one seed; the row once all seeds have given theirs."""
        said = self._evaluations.setdefault(step, {})
        said[seed] = (returns, lengths)
        if len(said) < self._seeds:
            return None
        del self._evaluations[step]
        by_seed = {n: mean(said[n][0]) for n in sorted(said)}
        episodes = [value for episode_returns, _ in said.values() for value in episode_returns]
        steps = [float(length) for _, episode_lengths in said.values() for length in episode_lengths]
        metrics = {
            "eval/return_mean": mean(list(by_seed.values())),
            "eval/return_std": float(np.std(episodes)),
        }
        metrics |= {f"eval/return_seed_{n}": value for n, value in by_seed.items()}
        return _row(step, metrics | {"eval/episode_length": mean(steps)})


def _row(step: int, metrics: Mapping[str, float]) -> Row:
    return Row(step, int(time.time() * 1000), metrics)
