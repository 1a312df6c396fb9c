"""Steps to a level: cases worked by hand."""

import pytest

from omad_core.results.speed import median_steps, steps_to_level

STEPS = [1_000, 2_000, 3_000, 4_000, 5_000]


@pytest.mark.parametrize(
    ("returns", "level", "window", "expected"),
    [
        ([0.0, 10.0, 20.0, 30.0, 40.0], 20.0, 1, 3_000),
        ([0.0, 10.0, 20.0, 30.0, 40.0], 20.0, 3, 4_000),  # (10 + 20 + 30) / 3
        ([90.0, 0.0, 0.0, 0.0, 0.0], 31.0, 3, None),  # one lucky evaluation is none
        ([90.0, 0.0, 0.0, 0.0, 0.0], 30.0, 3, 3_000),
        ([40.0, 40.0, 0.0, 0.0, 0.0], 40.0, 3, None),  # two are too few for a mean of three
        ([0.0, 0.0, 0.0, 0.0, float("nan")], 1.0, 1, None),
    ],
)
def test_the_first_mean_of_the_last_evaluations_counts(
    returns: list[float], level: float, window: int, expected: int | None
) -> None:
    assert steps_to_level(STEPS, returns, level, window) == expected


def test_a_short_curve_reaches_nothing_and_an_uneven_one_is_none() -> None:
    assert steps_to_level([], [], 0.0, 3) is None
    with pytest.raises(ValueError, match="no curve"):
        steps_to_level([1_000], [], 0.0, 1)


def test_seeds_that_never_reach_it_count_as_the_latest() -> None:
    assert median_steps([3_000, 1_000, 2_000]) == 2_000
    assert median_steps([3_000, None, 2_000]) == 3_000
    assert median_steps([None, 1_000, None]) is None
    assert median_steps([1_000, 2_000]) == 1_500
    assert median_steps([1_000, None]) is None
    with pytest.raises(ValueError, match="a seed"):
        median_steps([])
