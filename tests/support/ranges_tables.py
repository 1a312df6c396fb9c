"""The table of `laptop`'s search ranges in `docs/results.md`, made of the stored trainings.

`python tests/support/ranges_tables.py` prints it.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from measured import Line, read
from scipy.stats import rankdata

EPISODES_OF_25 = "simple_spread_n4"


@dataclass(frozen=True, slots=True)
class Range:
    """A range that was held against what lies below and above it."""

    low: float
    high: float
    log: bool = True

    @property
    def middle(self) -> float:
        return math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2.0

    def part(self, value: float) -> int:
        """Below it, its lower half, its upper half, above it."""
        return (value >= self.low) + (value >= self.middle) + (value > self.high)


RANGES = {
    "entropy.target": Range(1.0, 8.0, log=False),
    "entropy.alpha, learned": Range(0.05, 2.0),
    "entropy.alpha, fixed": Range(1e-3, 0.1),
    "actor.denoising_steps": Range(2, 8),
    "actor.diffusion_time": Range(0.4, 3.0),
    "actor.learning_rate": Range(1e-4, 3e-3),
    "critic.learning_rate": Range(1e-4, 3e-3),
    "critic.quantiles": Range(8, 32),
    "1 - gamma, Walker2d and HalfCheetah": Range(0.003, 0.03),
    "1 - gamma, Navigation": Range(0.005, 0.1),
}
"""As `laptop` had them when the trainings were drawn."""


def settings(line: Line) -> dict[str, float]:
    """What was drawn, by the names of `RANGES`."""
    given = dict(pair.split("=") for pair in line["settings"])
    mode = given.pop("entropy.mode", "learned")
    found = {path: float(text) for path, text in given.items()}
    found[f"entropy.alpha, {mode}"] = found.pop("entropy.alpha")
    tasks = "Navigation" if line["task"] == EPISODES_OF_25 else "Walker2d and HalfCheetah"
    found[f"1 - gamma, {tasks}"] = round(1.0 - found.pop("gamma"), 9)
    return found


def ranks(lines: Sequence[Line]) -> list[float]:
    """The share of the other trainings of its task that each one is better than; one that diverged is the worst."""
    found = [0.0] * len(lines)
    for task in {line["task"] for line in lines}:
        places = [number for number, line in enumerate(lines) if line["task"] == task]
        scores = [-math.inf if (score := lines[n]["score"]) is None else score for n in places]
        for place, rank in zip(places, rankdata(scores), strict=True):
            found[place] = (float(rank) - 1.0) / (len(places) - 1)
    return found


def rows() -> Iterator[str]:
    """A row a setting: the mean rank of the trainings below its range, in each half of it, and above it."""
    lines = read("ranges.jsonl")
    parts: dict[str, list[list[float]]] = defaultdict(lambda: [[], [], [], []])
    drawn: dict[str, list[float]] = defaultdict(list)
    for line, rank in zip(lines, ranks(lines), strict=True):
        for name, value in settings(line).items():
            parts[name][RANGES[name].part(value)].append(rank)
            drawn[name].append(value)
    for name, known in RANGES.items():
        tried = f"{min(drawn[name]):.2g} to {max(drawn[name]):.2g}"
        yield f"| {name} | {known.low:g} to {known.high:g} | {tried} | {' | '.join(map(cell, parts[name]))} |"


def cell(ranked: Sequence[float]) -> str:
    """Mean rank, its standard error, and of how many."""
    if len(ranked) < 2:
        return f"({len(ranked)})"
    error = statistics.stdev(ranked) / len(ranked) ** 0.5
    return f"{statistics.mean(ranked):.2f} ± {error:.2f} ({len(ranked)})"


def outside() -> Iterator[str]:
    """A row a number of settings that lie outside their ranges: the mean rank of such trainings."""
    lines = read("ranges.jsonl")
    ranked: dict[str, list[float]] = {"none or one": [], "two": [], "three or more": []}
    for line, rank in zip(lines, ranks(lines), strict=True):
        number = sum(RANGES[name].part(value) in (0, 3) for name, value in settings(line).items())
        ranked["none or one" if number < 2 else "two" if number == 2 else "three or more"].append(rank)
    for name, values in ranked.items():
        yield f"| {name} | {cell(values)} |"


if __name__ == "__main__":
    print(*rows(), sep="\n")
    print(*outside(), sep="\n")
