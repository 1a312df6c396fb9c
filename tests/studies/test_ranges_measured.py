"""What `docs/results.md` says of the search ranges of `laptop` follows from the stored trainings."""

import pytest
from measured import page
from ranges_tables import RANGES, outside, ranks, rows, settings

from search.study import catalog
from search.study.dimensions import FloatDimension, IntDimension
from search.study.request import StudyRequest


@pytest.mark.parametrize("row", [*rows(), *outside()])
def test_the_page_has_what_the_trainings_say(row: str) -> None:
    assert row in page()


def test_one_that_diverged_is_the_worst_of_its_task() -> None:
    lines = [
        {"task": task, "score": score} for task, score in (("a", -5.0), ("a", None), ("b", 1.0), ("a", 3.0))
    ]
    lines.append({"task": "b", "score": 2.0})
    assert ranks(lines) == [0.5, 0.0, 0.0, 1.0, 1.0]


def test_what_was_drawn_is_told_by_mode_and_kind_of_task() -> None:
    line = {"task": "walker2d_2x3", "settings": ["entropy.mode=fixed", "entropy.alpha=0.002", "gamma=0.99"]}
    assert settings(line) == {"entropy.alpha, fixed": 0.002, "1 - gamma, Walker2d and HalfCheetah": 0.01}
    assert [RANGES["critic.quantiles"].part(value) for value in (7, 8, 15, 16, 32, 33)] == [0, 1, 1, 2, 2, 3]


def test_the_ranges_are_those_that_laptop_has() -> None:
    requested = StudyRequest(profile="laptop", train={"algorithm": "omad"})
    for task in ("walker2d_2x3", "simple_spread_n4"):
        space = catalog.build(catalog.find(task), requested, has_gpu=False).space
        kind = "Navigation" if task == "simple_spread_n4" else "Walker2d and HalfCheetah"
        for dimension in space.dimensions:
            if not isinstance(dimension, FloatDimension | IntDimension):
                continue
            name, ends = dimension.path, (dimension.low, dimension.high)
            if name == "entropy.alpha":
                name += f", {dimension.when['entropy.mode'][0]}"
            if name == "gamma":
                name, ends = (
                    f"1 - gamma, {kind}",
                    (round(1.0 - dimension.high, 9), round(1.0 - dimension.low, 9)),
                )
            assert (RANGES[name].low, RANGES[name].high) == ends, name
