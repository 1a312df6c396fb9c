"""Intervals over seeds cover what they say; what is noise is not called better, and what is better is."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from omad_core.results.comparison import (
    BOOTSTRAP_FROM,
    Estimate,
    compare,
    estimate,
    holm,
    probability_of_improvement,
)

MEASURED = (689.0, 692.0, 742.0, 791.0, 1_016.0)
"""Hopper's best setting, trained anew on five seeds that its search had not seen."""
DEFAULTS = (231.0, 258.0, 271.0, 285.0, 310.0)

Sample = NDArray[np.float64]
Law = Callable[[np.random.Generator, int], Sample]
LAWS: dict[str, Law] = {
    "normal": lambda rng, n: rng.normal(0.0, 1.0, n),
    "lognormal": lambda rng, n: rng.lognormal(0.0, 1.0, n),
    "bimodal": lambda rng, n: np.where(rng.random(n) < 0.8, 0.0, 5.0) + rng.normal(0.0, 1.0, n),
    "measured": lambda rng, n: rng.choice(MEASURED, n),
}
LEAST = {
    ("normal", 3): 0.93, ("normal", 5): 0.93, ("normal", 10): 0.93,
    ("lognormal", 3): 0.91, ("lognormal", 5): 0.92, ("lognormal", 10): 0.93,
    ("bimodal", 3): 0.93, ("bimodal", 5): 0.93, ("bimodal", 10): 0.91,
    ("measured", 3): 0.89, ("measured", 5): 0.93, ("measured", 10): 0.89,
}  # fmt: skip
"""Share of intervals that hold the law's interquartile mean; `docs/reading-results.md` has the measured ones."""


def population_point(law: Law) -> float:
    return float(stats.trim_mean(law(np.random.default_rng(7), 400_001), 0.25))


@pytest.mark.parametrize(("law", "seeds"), list(LEAST))
def test_the_interval_covers_what_it_says(law: str, seeds: int) -> None:
    rng, target, held = np.random.default_rng(seeds), population_point(LAWS[law]), 0
    for _ in range(1_500):
        found = estimate(LAWS[law](rng, seeds).tolist())
        assert found.low is not None
        assert found.high is not None
        held += found.low <= target <= found.high
    assert LEAST[law, seeds] <= held / 1_500 <= 0.975


@pytest.mark.parametrize("seeds", [*range(3, 16), BOOTSTRAP_FROM, 40])
def test_the_interval_holds_the_point(seeds: int) -> None:
    for apart in range(seeds + 1):
        found = estimate([1.0] * apart + [0.0] * (seeds - apart))
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.point <= found.high, apart


def test_student_by_hand() -> None:
    found = compare([10.0, 12.0, 17.0], [7.0, 8.0, 12.0])
    # Differences 3, 4, 5: mean 4, standard deviation 1, standard error 1/sqrt(3), t of 2 degrees of freedom 4.3027.
    assert found.difference.values == (3.0, 4.0, 5.0)
    assert found.difference.point == pytest.approx(4.0)
    assert found.difference.low == pytest.approx(4.0 - 4.30265 / 3**0.5, abs=1e-4)
    assert found.difference.high == pytest.approx(4.0 + 4.30265 / 3**0.5, abs=1e-4)
    # t = 4 sqrt(3) = 6.9282; its two-sided p of 2 degrees of freedom is 1 - t / sqrt(t^2 + 2).
    assert found.p_value == pytest.approx(1.0 - 6.92820 / (48.0 + 2.0) ** 0.5, abs=1e-5)
    assert (found.won, found.seeds, found.better) == (3, 3, True)


def test_it_is_the_paired_test_of_scipy() -> None:
    found = compare(MEASURED, DEFAULTS)
    reference = stats.ttest_rel(MEASURED, DEFAULTS)
    interval = reference.confidence_interval(0.95)
    assert found.p_value == pytest.approx(reference.pvalue)
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))


def test_pairs_take_out_what_a_seed_does_to_both() -> None:
    shift = np.array([-300.0, 0.0, 500.0])
    found = compare(
        (np.array([12.0, 11.0, 13.0]) + shift).tolist(), (np.array([1.0, 2.0, 3.0]) + shift).tolist()
    )
    assert found.better


@pytest.mark.parametrize("values", [[3.0], [3.0, 9.0]])
def test_fewer_than_three_seeds_have_values_and_no_interval(values: list[float]) -> None:
    found = estimate(values)
    assert (found.low, found.high, found.values) == (None, None, tuple(values))
    assert "too few for an interval, which takes 3" in found.why
    compared = compare(values, [0.0] * len(values))
    assert (compared.better, compared.p_value, compared.won) == (False, None, len(values))


def test_the_point_is_the_interquartile_mean() -> None:
    assert estimate(MEASURED).point == pytest.approx((692 + 742 + 791) / 3)
    assert estimate(MEASURED[:3]).point == pytest.approx((689 + 692 + 742) / 3)


@pytest.mark.parametrize("values", [[], [1.0, float("nan"), 2.0], [float("inf")] * 3])
def test_what_is_no_sample_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite values"):
        estimate(values)


def test_values_without_a_partner_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        compare([1.0, 2.0, 3.0], [1.0, 2.0])


def test_equal_differences_need_no_spread() -> None:
    assert compare([2.0, 3.0, 4.0], [1.0, 2.0, 3.0]).p_value == 0.0
    assert compare([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]).p_value == 1.0
    assert not compare([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]).better


def studies(seeds: int, law: Law, by: float, count: int = 200) -> int:
    """How many of these simulated studies say that their best of 12 trials is better than the defaults."""
    rng, said = np.random.default_rng(11), 0
    for _ in range(count):
        scores = law(rng, 12)
        best = int(scores.argmax())
        held_out = law(rng, seeds) + (by if best != 0 else 0.0)
        said += best != 0 and compare(held_out.tolist(), law(rng, seeds).tolist()).better
    return said


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("seeds", [3, 5, 10, BOOTSTRAP_FROM])
def test_studies_of_pure_noise_are_not_called_better(seeds: int, law: str) -> None:
    assert studies(seeds, LAWS[law], by=0.0) <= 10


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_studies_that_found_something_much_better_say_so(seeds: int) -> None:
    rng = np.random.default_rng(3)
    said = sum(
        compare((rng.normal(786.0, 60.0, seeds)).tolist(), rng.normal(271.0, 30.0, seeds).tolist()).better
        for _ in range(200)
    )
    assert said >= 190


def test_the_measured_difference_is_shown_with_five_seeds() -> None:
    rng = np.random.default_rng(4)
    said = sum(
        compare(rng.choice(MEASURED, 5).tolist(), rng.choice(DEFAULTS, 5).tolist()).better for _ in range(200)
    )
    assert said >= 190


def test_holm_by_hand() -> None:
    assert holm({4: 0.01, 7: 0.04, 9: 0.03}) == pytest.approx({4: 0.03, 9: 0.06, 7: 0.06})
    assert holm({1: 0.7, 2: 0.8}) == {1: 1.0, 2: 1.0}
    assert holm({}) == {}


def test_an_estimate_keeps_the_order_of_its_seeds() -> None:
    assert isinstance(estimate([3.0, 1.0, 2.0]), Estimate)
    assert estimate([3.0, 1.0, 2.0]).values == (3.0, 1.0, 2.0)


def test_the_probability_of_improvement_counts_pairs_and_halves_ties() -> None:
    assert probability_of_improvement([2.0, 4.0], [1.0, 3.0]) == 3 / 4
    assert probability_of_improvement([1.0, 3.0], [2.0, 4.0]) == 1 / 4
    assert probability_of_improvement([1.0, 1.0, 5.0], [1.0]) == (0.5 + 0.5 + 1) / 3
    assert probability_of_improvement([5.0], [1.0, 2.0, 3.0]) == 1.0
    with pytest.raises(ValueError, match="both sides"):
        probability_of_improvement([], [1.0])
