"""Sparklines: a learning curve in one line of text."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.-=+*#@"
MISSING = "·"


def sparkline(values: Sequence[float], width: int, low: float, high: float, ascii_only: bool = False) -> str:
    """The values from left to right on the scale `low` to `high`; longer curves are averaged into `width`."""
    marks = ASCII if ascii_only else BLOCKS
    return "".join(_mark(value, low, high, marks) for value in _average(values, width))


def scale(curves: Iterable[Sequence[float]]) -> tuple[float, float]:
    """Lowest and highest finite value of several curves, so that they can be compared by eye."""
    finite = [value for curve in curves for value in curve if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else (0.0, 1.0)


def _mark(value: float, low: float, high: float, marks: str) -> str:
    if not math.isfinite(value):
        return MISSING if marks is BLOCKS else "?"
    share = 0.5 if high <= low else (value - low) / (high - low)
    return marks[min(len(marks) - 1, max(0, int(share * len(marks))))]


def _average(values: Sequence[float], width: int) -> list[float]:
    if len(values) <= width:
        return list(values)
    edges = [round(number * len(values) / width) for number in range(width + 1)]
    parts = [values[start:stop] for start, stop in pairwise(edges)]
    return [sum(part) / len(part) for part in parts]
