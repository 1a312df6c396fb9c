"""Wording: counts, values and times as people write them."""

import math
from typing import Any


def count(number: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def value(anything: Any) -> str:
    """A parameter's value: three digits are enough to distinguish it from another."""
    match anything:
        case None:
            return "none"
        case bool():
            return str(anything).lower()
        case float():
            return f"{anything:.3g}"
        case _:
            return str(anything)


def score(number: float | None) -> str:
    """A return: one decimal, fewer for large ones; a dash where there is none."""
    if number is None or not math.isfinite(number):
        return "-" if number is None else str(number)
    return f"{number:,.1f}" if abs(number) < 10_000 else f"{number:,.0f}"


def duration(seconds: float) -> str:
    """`0:42`, `12:03`, `3:07:12`, `2 d 03 h`."""
    whole = max(0, round(seconds))
    if whole >= 86_400:
        return f"{whole // 86_400} d {whole % 86_400 // 3_600:02} h"
    hours, minutes, rest = whole // 3_600, whole % 3_600 // 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
