"""Measured: cells of the tables in `docs/results.md`, made of the stored trainings."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omad_core.results.comparison import PairedDifference
from omad_core.results.speed import median_steps, steps_to_level
from search.comparison.sentences import probability
from search.view.confirmation import signed

DOCS = Path(__file__).parents[2] / "docs"
WINDOW = 3
"""Evaluations whose mean is a training's score."""
Line = Mapping[str, Any]
"""What `omad-search curves` writes of a training."""


def read(file: str) -> list[Line]:
    """The trainings of a file of `docs`."""
    return [json.loads(line) for line in (DOCS / file).read_text().splitlines()]


def page() -> str:
    """The page that must have what follows from them."""
    return (DOCS / "results.md").read_text()


def scores(lines: Sequence[Line]) -> list[float]:
    return [line["score"] for line in lines]


def versus(known: PairedDifference | None, corrected: float | None) -> tuple[str, str]:
    """A difference with its interval, and its p-value; empty where there is none."""
    if known is None or known.difference.low is None or known.difference.high is None or corrected is None:
        return "", ""
    difference = known.difference
    scale = max(abs(difference.low), abs(difference.high))
    ends = ", ".join(signed(end, scale) for end in (difference.low, difference.high))
    return f"{signed(difference.point, scale)} [{ends}]", probability(corrected)


def steps_of(line: Line, level: float) -> int | None:
    """Steps until the mean of three evaluations reaches a level."""
    evaluations = line["evaluations"]
    steps = [each["step"] for each in evaluations]
    return steps_to_level(steps, [each["mean"] for each in evaluations], level, WINDOW)


def reached(lines: Sequence[Line], level: float) -> str:
    """Median of the steps to a level, and how many seeds reach it where not all do."""
    return median_cell([steps_of(line, level) for line in lines])


def median_cell(numbers: Sequence[int | None]) -> str:
    """Median over seeds, and how many have a number where not all do."""
    median, reach = median_steps(numbers), sum(each is not None for each in numbers)
    text = "never by half of them" if median is None else f"{median:,.0f}"
    return text if reach == len(numbers) else f"{text} ({reach} of {len(numbers)})"
