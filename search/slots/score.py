"""Scores: what a trial is worth, from the evaluations of its seeds."""

from collections.abc import Sequence

Evaluations = Sequence[tuple[int, Sequence[float]]]
"""(environment steps, returns of the episodes) of one seed, in order."""


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean."""
    return sum(values) / len(values)


def curve(seeds: Sequence[Evaluations]) -> list[tuple[int, float]]:
    """(environment steps, mean return over seeds and episodes), for the evaluations all seeds have."""
    return [(each[0][0], mean([mean(returns) for _, returns in each])) for each in zip(*seeds, strict=False)]


def score(seeds: Sequence[Evaluations], last: int) -> float | None:
    """Mean return of the last evaluations over all seeds: never the best one, which is biased."""
    points = curve(seeds)
    return mean([value for _, value in points[-last:]]) if points else None
