"""What `docs/results.md` says of compared algorithms follows from the stored trainings."""

import pytest
from compared_tables import OTHER_TASKS, TASKS, between, controlled, costs, progress, rows
from measured import page


@pytest.mark.parametrize("task", TASKS)
def test_the_page_has_what_the_trainings_say(task: str) -> None:
    for row in rows(task):
        assert row in page()


@pytest.mark.parametrize("task", [*TASKS, "halfcheetah_2x3", *OTHER_TASKS])
def test_the_page_has_what_the_controlled_experiment_says(task: str) -> None:
    for row in controlled(task):
        assert row in page()


def test_the_page_has_how_the_experiment_on_navigation_went_on() -> None:
    for row in progress("simple_spread_n3"):
        assert row in page()


def test_the_page_has_how_omad_and_the_gaussian_differ_with_less_entropy() -> None:
    gaussian = "gaussian with entropy.target = 2"
    for name, other in (
        ("omad with entropy.target = 4", gaussian),
        (gaussian, "gaussian with entropy.target = 4"),
    ):
        difference = between("halfcheetah_2x3", name, other)
        assert difference
        assert difference in page()


def test_the_page_has_what_trainings_cost() -> None:
    assert costs() in " ".join(page().split())
