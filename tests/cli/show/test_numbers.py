"""Numbers, durations and curves as people read them."""

import math

import pytest

from cli.show import numbers
from cli.show.sparkline import scale, sparkline


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "true"),
        (3e-4, "0.0003"),
        (0.99, "0.99"),
        (4.0, "4"),
        (16, "16"),
        ("fixed", "fixed"),
    ],
)
def test_values(value: object, text: str) -> None:
    assert numbers.value(value) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "-"), (math.nan, "nan"), (-23.94, "-23.9"), (1_412.71, "1,412.7"), (14_369.4, "14,369")],
)
def test_returns(number: float | None, text: str) -> None:
    assert numbers.score(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (42.4, "0:42"), (723, "12:03"), (11_232, "3:07:12"), (200_000, "2 d 07 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "time left not known yet"),
        (0, "no time left"),
        (2, "about 5 s left"),
        (290, "about 5 min left"),
        (9_000, "about 2.5 h left"),
        (200_000, "about 2.3 d left"),
    ],
)
def test_time_left(seconds: float | None, text: str) -> None:
    assert numbers.remaining(seconds) == text


def test_a_sparkline_rises_with_its_values() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 10, 0, 7) == "▁▂▃▄▅▆▇█"
    assert sparkline([7, 0], 10, 0, 7) == "█▁"


def test_a_long_curve_is_averaged_into_the_width() -> None:
    assert sparkline([0.0] * 50 + [7.0] * 50, 4, 0, 7) == "▁▁██"
    assert len(sparkline([float(n) for n in range(1_234)], 20, 0, 1_234)) == 20


def test_what_is_not_finite_is_a_dot_and_sets_no_scale() -> None:
    assert sparkline([0, math.nan, 7], 10, *scale([[0, math.nan, 7, math.inf]])) == "▁·█"


def test_flat_and_empty_curves_have_a_line_too() -> None:
    assert sparkline([3, 3], 10, *scale([[3, 3]])) == "▅▅"
    assert sparkline([], 10, *scale([])) == ""
