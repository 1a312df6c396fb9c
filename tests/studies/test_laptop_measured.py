"""What `docs/results.md` says of the length, trials, evaluations and seeds of `laptop` follows from the stored curves.

As a program it prints the tables: `python tests/studies/test_laptop_measured.py`.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

DOCS = Path(__file__).parents[2] / "docs"
Array = NDArray[np.float64]
CHOICES = ((14, 2), (12, 3), (10, 4), (8, 5), (10, 3), (9, 3))
"""Trials and held-out seeds that take about as long as one another; then shorter ones."""
STUDIES = 40_000


def curves(task: str) -> Array:
    """Returns [trainings, 5] at 1,000 to 5,000 steps of all stored trainings of a task that went to their end."""
    lines = (DOCS / "laptop.jsonl").read_text().splitlines()
    found = [line["curve"] for line in map(json.loads, lines) if line["task"] == task]
    if task == "hopper":
        found += [
            line["curve"] for line in map(json.loads, (DOCS / "laptop_search.jsonl").read_text().splitlines())
        ]
    return np.asarray([[value for _, value in curve] for curve in found if len(curve) == 5])


def agreement(task: str) -> Iterator[tuple[int, list[float]]]:
    """Steps, and how the mean of the last 1, 2, 3 evaluations up to there ranks trainings as the one at 5,000 does."""
    found = curves(task)
    for end in (2, 3, 4):
        means = [found[:, end - last : end].mean(axis=1) for last in range(1, min(end, 3) + 1)]
        yield end * 1_000, [round(float(stats.spearmanr(mean, found[:, 4])[0]), 2) for mean in means]


def simulate(trials: int, held_out: int, defaults: float, each: int = 1) -> tuple[float, float, float]:
    """Of searches with normal settings and seeds: what the chosen one gains, and how often `better` is said.

    Settings differ by as much as seeds do, which is the unit; the defaults, the first trial, stand so far above a
    setting drawn at random. `each`: seeds in every trial. Returns the mean true gain over the defaults, the share of
    studies that say better, and the share in which the defaults are chosen.
    """
    rng = np.random.default_rng(0)
    settings = rng.normal(0.0, 1.0, (STUDIES, trials))
    settings[:, 0] = defaults
    chosen = (settings + rng.normal(0.0, each**-0.5, settings.shape)).argmax(axis=1)
    gain = settings[np.arange(STUDIES), chosen] - defaults
    differences = gain[:, None] + rng.normal(0.0, 2**0.5, (STUDIES, held_out))
    half = special.stdtrit(held_out - 1, 0.975) * differences.std(axis=1, ddof=1) / held_out**0.5
    same = chosen == 0
    better = ~same & (differences.mean(axis=1) > half)
    return float(gain.mean()), float(better.mean()), float(same.mean())


def tables() -> Iterator[str]:
    """Lines of the tables, as the page has them."""
    for task in ("hopper", "halfcheetah_2x3"):
        for steps, found in agreement(task):
            cells = [*(f"{value:.2f}" for value in found), "", ""][:3]
            yield f"| {task} | {steps:,} | " + " | ".join(cells) + " |"
    for trials, seeds in CHOICES:
        figures = [simulate(trials, seeds, defaults) for defaults in (-1.0, 0.0, 2.0)]
        cells = [f"{gain:+.2f}, {better:.0%}, {same:.0%}" for gain, better, same in figures]
        yield f"| {trials} | {seeds} | " + " | ".join(cells) + " |"
    for trials, each in ((12, 1), (6, 2), (4, 3)):
        yield f"| {trials} of {each} | {simulate(trials, 3, 0.0, each)[0]:+.2f} |"


@pytest.mark.parametrize("line", list(tables()))
def test_the_page_has_what_the_curves_say(line: str) -> None:
    assert line in (DOCS / "results.md").read_text()


if __name__ == "__main__":
    print("\n".join(tables()))
