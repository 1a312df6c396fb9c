"""Numbers as people read them."""

import math
from typing import Any


def value(anything: Any) -> str:
    """A parameter's value: three digits are enough to tell it from another."""
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


def rate(number: float | None) -> str:
    """Something a second."""
    if number is None:
        return "-"
    return f"{number:.1f}" if 0 < number < 10 else f"{number:,.0f}"


def duration(seconds: float) -> str:
    """`0:42`, `12:03`, `3:07:12`, `2 d 03 h`."""
    whole = max(0, round(seconds))
    if whole >= 86_400:
        return f"{whole // 86_400} d {whole % 86_400 // 3_600:02} h"
    hours, minutes, rest = whole // 3_600, whole % 3_600 // 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def remaining(seconds: float | None) -> str:
    """How much longer it takes, as roughly as it is known."""
    if seconds is None:
        return "time left not known yet"
    if seconds < 60:
        return f"about {max(5, round(seconds / 5) * 5):.0f} s left" if seconds > 0 else "no time left"
    if seconds < 3_600:
        return f"about {seconds / 60:.0f} min left"
    return (
        f"about {seconds / 3_600:.1f} h left" if seconds < 86_400 else f"about {seconds / 86_400:.1f} d left"
    )
