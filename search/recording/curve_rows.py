"""Curve rows: the events of a trial's seeds, aggregated into rows of its curve."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from search.slots.score import mean
from tracking.row import Row


class SeedAggregator:
    """Collects the events of one trial's seeds at a step until all seeds have reported."""

    def __init__(self, seeds: int) -> None:
        self._seeds = seeds
        self._training: dict[int, dict[int, Mapping[str, float]]] = {}
        self._evaluations: dict[int, dict[int, tuple[Sequence[float], Sequence[int]]]] = {}

    def add_metrics(self, seed: int, step: int, metrics: Mapping[str, float]) -> Row | None:
        """Add metrics of one seed; returns the row of means over the seeds once all have reported, else None."""
        reported = self._training.setdefault(step, {})
        reported[seed] = metrics
        if len(reported) < self._seeds:
            return None
        del self._training[step]
        names = dict.fromkeys(name for values in reported.values() for name in values)
        means = {n: mean([values[n] for values in reported.values() if n in values]) for n in names}
        return _row(step, means)

    def add_evaluation(
        self, seed: int, step: int, returns: Sequence[float], lengths: Sequence[int]
    ) -> Row | None:
        """Add one seed's returns and lengths [E]; returns the row once all seeds have reported, else None."""
        reported = self._evaluations.setdefault(step, {})
        reported[seed] = (returns, lengths)
        if len(reported) < self._seeds:
            return None
        del self._evaluations[step]
        by_seed = {n: mean(reported[n][0]) for n in sorted(reported)}
        episodes = [value for episode_returns, _ in reported.values() for value in episode_returns]
        steps = [float(length) for _, episode_lengths in reported.values() for length in episode_lengths]
        metrics = {
            "eval/return_mean": mean(list(by_seed.values())),
            "eval/return_std": float(np.std(episodes)),
        }
        metrics |= {f"eval/return_seed_{n}": value for n, value in by_seed.items()}
        return _row(step, metrics | {"eval/episode_length": mean(steps)})


def _row(step: int, metrics: Mapping[str, float]) -> Row:
    return Row(step, int(time.time() * 1000), metrics)
