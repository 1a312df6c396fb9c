"""What a comparison shows: worked by hand, from values that nobody trained for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from omad_core.results.comparison import estimate
from search.comparison import figure, tables
from search.comparison.sentences import not_shown, share, shown
from search.comparison.view import AlgorithmView, ComparisonView, SettingView, compare_all
from search.view.confirmation import CandidateView, ConfirmationView
from search.view.views import StudyView, TrialView

STEPS = (100, 200, 300)


def training(number: int, value: float, seconds: float | None) -> TrialView:
    """It rises in equal steps to 1.5 times its value; the last two evaluations have the value as their mean."""
    curve = (value * 0.25, value * 0.75, value * 1.25)
    return TrialView(
        number, "complete", step=300, env_steps=300, curve=curve, curve_steps=STEPS, curve_step=300,
        score=value, updates=200, processor_seconds=seconds, device="cpu",
    )  # fmt: skip


def candidate(values: Mapping[int, float | None], best: bool, seconds: float | None = 2.0) -> CandidateView:
    known = [value for value in values.values() if value is not None]
    trained = {seed: training(seed, value, seconds) for seed, value in values.items() if value is not None}
    whole = estimate(known) if known and len(known) == len(values) else None
    return CandidateView(7 if best else 0, not best, best, values, {}, trained, whole)


def algorithm(
    name: str, tuned: Sequence[float | None], untuned: Sequence[float | None], seconds: float | None = 2.0
) -> AlgorithmView:
    trials = [
        TrialView(n, "complete", {"gamma": 0.9 + n / 100}, score=float(n), processor_seconds=seconds)
        for n in range(3)
    ]
    search = StudyView(f"c-{name}", "hopper", "smoke", "", "", trials=trials, default_number=0)
    held_out = [training(n, 1.0, seconds) for n in range(2 * len(tuned))]
    confirmed = ConfirmationView(
        StudyView(f"c-{name}-confirm", "hopper", "smoke", "", "", trials=held_out, parent=f"c-{name}"),
        [
            candidate(dict(enumerate(tuned)), best=True, seconds=seconds),
            candidate(dict(enumerate(untuned)), best=False, seconds=seconds),
        ],
        "better than the defaults",
    )
    return AlgorithmView(name, search, confirmed)


def comparison(*algorithms: AlgorithmView, level: float | None = None) -> ComparisonView:
    return compare_all(ComparisonView("c", "hopper", 3, 300, 2, algorithms, level))


OMAD = algorithm("omad", [10.0, 20.0, 30.0], [1.0, 2.0, 3.0])
HASAC = algorithm("hasac", [14.0, 26.0, 36.0], [3.0, 1.0, 2.0])
SAME = algorithm("same", [10.0, 20.0, 30.0], [1.0, 2.0, 3.0])


def tuned(seen: ComparisonView, place: int) -> SettingView:
    found = seen.algorithms[place].tuned
    assert found is not None
    return found


def test_each_is_compared_with_the_first_seed_by_seed_and_corrected_for_their_number() -> None:
    """Differences 4, 6, 6: mean 16 / 3, standard error 2 / 3, t = 8, and p = 1 - t / sqrt(2 + t^2) with 2 degrees."""
    seen = comparison(OMAD, HASAC, SAME)
    hasac, same = tuned(seen, 1), tuned(seen, 2)
    assert tuned(seen, 0).versus is None
    assert hasac.versus is not None
    known = hasac.versus.difference
    assert known.values == (4.0, 6.0, 6.0)
    assert (known.point, known.low, known.high) == pytest.approx((16 / 3, 2.4648, 8.2019), abs=1e-3)
    p = 1 - 8 / 66**0.5
    assert hasac.versus.p_value == pytest.approx(p)
    assert hasac.p_corrected == pytest.approx(2 * p), "of two comparisons the smaller one counts twice"
    assert hasac.improvement == pytest.approx((1 + 2 + 3) / 9)
    assert hasac.differs
    assert same.versus is not None
    assert (same.versus.p_value, same.p_corrected, same.improvement) == (1.0, 1.0, 0.5)
    assert not same.differs


def test_the_untuned_are_compared_with_the_untuned() -> None:
    untuned = comparison(OMAD, HASAC).algorithms[1].untuned
    assert untuned is not None
    assert untuned.versus is not None
    assert untuned.versus.difference.values == (2.0, -1.0, -1.0)


def test_a_difference_that_the_correction_takes_away_is_not_shown() -> None:
    """Alone p is .029; beside two others it is three times that."""
    close = algorithm("close", [14.0, 25.0, 37.0], [1.0, 1.0, 1.0])
    others = [algorithm(name, [11.0, 20.0, 29.0], [1.0, 1.0, 1.0]) for name in ("b", "c")]
    alone, beside = tuned(comparison(OMAD, close), 1), tuned(comparison(OMAD, close, *others), 1)
    assert alone.p_corrected == pytest.approx(1 - alone_t() / (2 + alone_t() ** 2) ** 0.5)
    assert alone.differs
    assert beside.p_corrected == pytest.approx(3 * (alone.p_corrected or 0.0))
    assert not beside.differs


def alone_t() -> float:
    """Of differences 4, 5, 7: mean 16 / 3, variance 7 / 3."""
    return (16 / 3) / (7 / 9) ** 0.5


def test_the_sentences_say_what_is_shown_and_what_is_not() -> None:
    seen = comparison(OMAD, HASAC, SAME)
    assert shown(seen) == (
        "On hopper, each tuned with 3 trials of 300 steps and then trained with 3 held-out seeds: "
        "hasac is better than omad on 3 of 3 seeds: +5.3 [+2.5, +8.2], p .031; "
        "no difference between same and omad is shown: +0 [+0, +0], p 1.00."
    )
    assert not_shown(seen) == (
        "Not shown: that settings without a shown difference are equal, nor anything about trainings of more than 300 "
        "steps, other tasks or larger searches."
    )
    assert "omad is worse than hasac on 3 of 3 seeds: -5.3 [-8.2, -2.5]" in shown(comparison(HASAC, OMAD))


def test_before_the_end_it_says_what_is_missing() -> None:
    unfinished = algorithm("b", [1.0, None, 2.0], [1.0, 1.0, 1.0])
    assert unfinished.confirmation is not None
    unfinished = replace(
        unfinished, confirmation=replace(unfinished.confirmation, sentence="not confirmed yet: 5 of 6 ended")
    )
    waiting = replace(
        algorithm("c", [], []),
        confirmation=None,
        search=StudyView("c", "", "", "", "", trials=[TrialView(0, "waiting")]),
    )
    failed = replace(
        algorithm("d", [], []),
        confirmation=None,
        search=StudyView("d", "", "", "", "", trials=[TrialView(0, "failed")]),
    )
    said = shown(comparison(OMAD, unfinished, waiting, failed))
    assert said == (
        "Nothing can be said yet: b: not confirmed yet: 5 of 6 ended; c has ended 0 of 1 trial; "
        "no trial of d completed, and `omad-search status d` says why."
    )
    assert comparison(OMAD, unfinished).level is None


def test_different_budgets_are_named() -> None:
    more = replace(
        HASAC, search=replace(HASAC.search, trials=[*HASAC.search.trials, TrialView(3, "complete")])
    )
    assert "different budgets (omad 3 trials, hasac 4 trials)" in not_shown(comparison(OMAD, more))


def test_steps_are_counted_to_the_lowest_of_the_tuned_ones() -> None:
    """Means of two evaluations are half a training's value at 200 steps, and its value at 300."""
    seen = comparison(OMAD, HASAC)
    assert seen.level == 20.0
    assert tuned(seen, 0).reached == {0: None, 1: 300, 2: 300}
    assert tuned(seen, 0).steps == 300
    assert tuned(seen, 1).reached == {0: None, 1: 300, 2: 300}
    assert tuned(comparison(OMAD, HASAC, level=10.0), 0).reached == {0: 300, 1: 200, 2: 200}
    assert tuned(comparison(OMAD, HASAC, level=25.0), 0).steps is None


def test_costs_are_means_of_trainings_and_sums_of_searches() -> None:
    seen = comparison(OMAD, algorithm("old", [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], seconds=None))
    assert (tuned(seen, 0).updates, tuned(seen, 0).processor_seconds) == (200, 2.0)
    assert seen.algorithms[0].search_seconds == 6.0
    assert tuned(seen, 1).processor_seconds is None, "by a release that did not measure it"
    assert seen.algorithms[1].search_seconds is None


def test_the_document_has_the_numbers_of_the_table() -> None:
    seen = comparison(OMAD, HASAC)
    hasac = tables.document(seen)["algorithms"][1]
    assert hasac["tuned"]["difference_to_first"] == pytest.approx(16 / 3)
    assert hasac["tuned"]["values"] == {"0": 14.0, "1": 26.0, "2": 36.0}
    assert hasac["tuned"]["steps_to_level"] == {"0": None, "1": 300, "2": 300}
    assert hasac["tuned"]["shown_to_differ"]
    assert hasac["best_parameters"] == {"gamma": 0.92}
    page = tables.markdown(seen)
    row = "| hasac tuned (trial 7) | 25.3 | -2.0 to 52.7 | +5.3 [+2.5, +8.2] | .015 | .67 | 300 (2 of 3) | 200 | 2 |"
    assert row in page
    assert "| omad untuned | 2.0 | -0.5 to 4.5 |" in page
    assert "| `gamma` | 0.92 | 0.9 |" in page


@pytest.mark.parametrize(("wins", "said"), [(0.0, "0"), (0.04, ".04"), (0.5, ".50"), (1.0, "1")])
def test_a_share_of_pairs_is_counted_and_no_probability(wins: float, said: str) -> None:
    assert share(wins) == said


def test_the_figure_is_drawn_also_before_there_is_anything(tmp_path: object) -> None:
    from pathlib import Path

    assert isinstance(tmp_path, Path)
    nothing = [replace(each, confirmation=None) for each in (OMAD, HASAC)]
    for name, seen in (("whole", comparison(OMAD, HASAC, SAME)), ("begun", comparison(*nothing))):
        assert figure.draw(seen, tmp_path / f"{name}.png").stat().st_size > 10_000
