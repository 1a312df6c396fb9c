"""What a confirmation showed: values by seed, difference to the defaults, and one honest sentence."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from omad_core.results.comparison import compare
from search.confirmation.creation import ensure
from search.slots import budget
from search.slots.studies import StudyHandle
from search.steering import commands
from search.storage.store import Store
from search.study.confirmation import Confirm
from search.view import confirmation, status
from search.view.confirmation import CandidateView, ConfirmationView, comparison_sentence, signed

Ended = Callable[..., StudyHandle]
End = Callable[..., None]
Confirmed = Callable[..., tuple[StudyHandle, ConfirmationView]]


@pytest.fixture
def confirmed(store: Store, ended: Ended, end_trials: End) -> Confirmed:
    """Makes a study that ended with some values; its confirmation ends with others, best and defaults in turn."""

    def make(
        values: Sequence[Any], held_out: Sequence[Any], **more: Any
    ) -> tuple[StudyHandle, ConfirmationView]:
        search = ended(values, **more)
        found = ensure(store, search)
        assert found is not None
        end_trials(store, found, held_out)
        seen = confirmation.read(store, search)
        assert seen is not None
        return search, seen

    return make


def test_the_best_is_compared_with_the_defaults_seed_by_seed(confirmed: Confirmed) -> None:
    _, seen = confirmed([10.0, 30.0], [689.0, 231.0, 692.0, 250.0, 742.0, 310.0])
    assert [(each.name, each.values) for each in seen.candidates] == [
        ("best, trial 1", {0: 689.0, 1: 692.0, 2: 742.0}),
        ("defaults, trial 0", {0: 231.0, 1: 250.0, 2: 310.0}),
    ]
    assert seen.sentence == "better than the defaults on 3 of 3 held-out seeds: +444 [+411, +477]"
    assert seen.best is not None
    assert seen.best.estimate is not None
    assert seen.best.estimate.point == pytest.approx(707.667, abs=1e-3)


def test_what_is_not_shown_is_not_said(confirmed: Confirmed) -> None:
    _, seen = confirmed([10.0, 30.0], [300.0, 310.0, 250.0, 330.0, 340.0, 286.0])
    assert seen.sentence.startswith("not shown to be better than the defaults: -12 [-")


def test_labels_name_candidate_and_seed(store: Store, confirmed: Confirmed) -> None:
    _, seen = confirmed([10.0, 30.0], [1.0, 2.0])
    assert [trial.name for trial in seen.study.trials[:2]] == [
        "held-out 0 of trial 1",
        "held-out 0 of defaults",
    ]
    assert seen.sentence == "not confirmed yet: 2 of 6 held-out trainings have ended"


def test_two_seeds_have_values_and_no_interval(confirmed: Confirmed) -> None:
    _, seen = confirmed([10.0, 30.0], [700.0, 200.0, 720.0, 240.0], confirm=Confirm(1, 2))
    assert seen.sentence == (
        "not shown to be better than the defaults: +500, +480 on 2 held-out seeds; "
        "2 seeds are too few for an interval, which takes 3"
    )


def test_defaults_that_are_the_best_are_said_to_be(confirmed: Confirmed) -> None:
    _, seen = confirmed([90.0, 30.0], [1.0, 2.0, 3.0])
    assert seen.sentence == "the search found nothing better than the defaults"
    assert [(each.best, each.default) for each in seen.candidates] == [(True, True)]


def test_what_failed_leaves_no_sentence_until_it_is_tried_again(
    store: Store, confirmed: Confirmed, end_trials: End
) -> None:
    search, seen = confirmed([10.0, 30.0], [700.0, ("failed", None), 710.0, 230.0, 720.0, 240.0])
    assert "nothing can be said before held-out 0 of defaults trained to the end" in seen.sentence
    assert f"omad-search retry {seen.study.name} --failed" in seen.sentence
    found = ensure(store, search)
    assert found is not None
    commands.retry(store, found, None)
    again = confirmation.read(store, search)
    assert again is not None
    assert again.sentence == "not confirmed yet: 5 of 6 held-out trainings have ended"
    end_trials(store, found, [220.0])
    last = confirmation.read(store, search)
    assert last is not None
    assert last.sentence.startswith("better than the defaults on 3 of 3")
    assert last.default is not None
    assert last.default.values[0] == 220.0


def test_what_diverged_without_an_evaluation_leaves_no_sentence(confirmed: Confirmed) -> None:
    _, seen = confirmed([10.0, 30.0], [700.0, ("diverged", None), 710.0, 230.0, 720.0, 240.0])
    assert seen.sentence == "nothing can be said: held-out 0 of defaults ended before the first evaluation"


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ([0], "; held-out 0 of defaults diverged and counts with the last finite value"),
        (
            [0, 2],
            "; held-out 0 of defaults, held-out 2 of defaults diverged and count with the last finite value",
        ),
    ],
)
def test_what_diverged_is_named(seeds: list[int], said: str) -> None:
    assert confirmation._diverged(CandidateView(0, True, False, {}, dict.fromkeys(seeds, "diverged"))) == said


def test_others_are_corrected_for_their_number(confirmed: Confirmed) -> None:
    held_out = [700.0, 400.0, 310.0, 230.0, 711.0, 420.0, 290.0, 240.0, 722.0, 410.0, 330.0, 236.0]
    _, seen = confirmed([10.0, 30.0, 20.0, 15.0], held_out, confirm=Confirm(3, 3))
    assert [each.name for each in seen.candidates] == [
        "best, trial 1",
        "defaults, trial 0",
        "trial 2",
        "trial 3",
    ]
    best, _, second, third = seen.candidates
    assert best.p_corrected is None
    assert second.difference is not None
    assert third.difference is not None
    assert second.difference.p_value is not None
    assert second.p_corrected == pytest.approx(2 * second.difference.p_value)
    assert third.p_corrected == pytest.approx(third.difference.p_value)


def test_a_new_best_is_not_given_the_old_ones_figures(
    store: Store, confirmed: Confirmed, end_trials: End
) -> None:
    search, _ = confirmed([10.0, 30.0], [689.0, 231.0, 692.0, 250.0, 742.0, 310.0])
    budget.extend(store, search.study_id, 3)
    end_trials(store, search, [99.0])
    seen = confirmation.read(store, search)
    assert seen is not None
    assert seen.best is None
    assert seen.sentence == "the best trial of the search has not been confirmed"
    found = ensure(store, search)
    assert found is not None
    end_trials(store, found, [800.0, 810.0, 850.0])
    last = confirmation.read(store, search)
    assert last is not None
    assert [each.name for each in last.candidates] == ["best, trial 2", "defaults, trial 0", "trial 1"]


def test_a_search_without_one_has_none(store: Store, ended: Ended) -> None:
    search = ended([10.0, 30.0])
    assert confirmation.read(store, search) is None
    assert status.read(store, search).parent == ""


def test_figures_are_plain_data(confirmed: Confirmed) -> None:
    _, seen = confirmed([10.0, 30.0], [689.0, 231.0, 692.0, 250.0, 742.0, 310.0])
    document = confirmation.as_document(seen)
    best = document["candidates"][0]
    assert (best["seeds_won"], best["better"], best["values"]) == (
        3,
        True,
        {"0": 689.0, "1": 692.0, "2": 742.0},
    )
    assert best["difference_interval"] == pytest.approx([411.4, 476.6], abs=0.1)
    assert confirmation.confirmed_tags(seen)["omad.confirmed"] == seen.sentence


@pytest.mark.parametrize(
    ("values", "baseline", "sentence"),
    [
        (
            [0.31, 0.30, 0.33],
            [0.1, 0.1, 0.1],
            "better than the defaults on 3 of 3 held-out seeds: +0.21 [+0.18, +0.25]",
        ),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], "not shown to be better than the defaults: +0 [+0, +0]"),
    ],
)
def test_a_sentence_has_as_many_digits_as_it_needs(
    values: list[float], baseline: list[float], sentence: str
) -> None:
    assert comparison_sentence(compare(values, baseline)) == sentence


def test_signs_and_digits() -> None:
    assert (signed(515.2, 820.0), signed(-12.4, 90.0), signed(1234.5, 2_000.0)) == ("+515", "-12", "+1,234")
