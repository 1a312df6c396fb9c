"""A comparison while it runs: nothing that matters is cut off, at forty columns and at any width."""

import dataclasses
from collections.abc import Callable

import pytest

from cli.show.comparison.live import ComparisonLiveView
from omad_core.results.comparison import estimate
from search.comparison.view import AlgorithmView, ComparisonView
from search.view.confirmation import CandidateView, ConfirmationView
from search.view.views import StudyView, TrialView

Show = Callable[..., str]


def trials(count: int, ended: int, **of_the_next: object) -> tuple[TrialView, ...]:
    """So many trials that completed, one that is as told, and others that wait."""
    complete = [TrialView(n, "complete", score=1_024.5 - n, env_steps=5_000) for n in range(ended)]
    rest = [TrialView(n, "waiting") for n in range(ended, count)]
    if of_the_next:
        rest[0] = dataclasses.replace(rest[0], state="running", env_steps=5_000, **of_the_next)
    return (*complete, *rest)


@pytest.fixture
def comparison() -> ComparisonView:
    """Of two algorithms: one is being confirmed, the other searched."""
    values = {0: 1_024.5, 1: 900.0, 2: 800.0}
    best = CandidateView(0, False, True, values, {}, estimate=estimate(list(values.values())))
    search = StudyView(
        "c-omad", "hopper", "laptop", "sqlite:///omad.db", "sqlite:///mlflow.db", trials=trials(12, 12)
    )
    label = "held-out 4 of defaults"
    held_out = dataclasses.replace(
        search, parent="c-omad", trials=trials(10, 9, step=3_280, score=-1_326.4, label=label)
    )
    omad = AlgorithmView("omad", search, ConfirmationView(held_out, [best], ""))
    searched = dataclasses.replace(search, trials=trials(12, 11, step=4_000, score=1_100.5))
    return ComparisonView("c", "hopper", 12, 5_000, 3, [omad, AlgorithmView("gaussian", searched, None)])


@pytest.mark.parametrize("width", [40, 50, 60, 80, 160])
def test_no_number_is_cut_off(comparison: ComparisonView, show: Show, width: int) -> None:
    text = show(ComparisonLiveView(comparison, 65.0, whole=True), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    rows = [line.split() for line in text.splitlines()]
    assert ["omad", "12/12", "1,024.5"] in [row[:3] for row in rows]
    assert next(row for row in rows if row[:2] == ["gaussian", "11/12"])
    assert "908.2" in text, "the interquartile mean of what was found, on held-out seeds"
    assert "4 of defaults" in text
    assert "3,280/5,000" in text
    assert ("held-out 4 of defaults" in text) == (width >= 50)
    assert ("running" in text) == (width >= 80)


def test_while_it_is_live_what_is_too_long_does_not_move_the_rest(
    comparison: ComparisonView, show: Show
) -> None:
    heads = [show(ComparisonLiveView(comparison, whole=whole), 40).splitlines()[0] for whole in (False, True)]
    assert heads[0].endswith("…")
    assert not heads[1].endswith("…")
