"""The final report: best beside defaults and random play, parameters, and what to type next."""

import dataclasses
from collections.abc import Callable

import pytest

from cli.show.report import Report
from omad_core.results.statistics import Summary
from search.view.report_view import ReportView
from search.view.views import StudyView

COMMANDS = [
    ("omad-search ui", "look at it"),
    ("omad-search evaluate models:/m-0123456789abcdef0123456789abcdef --episodes 50 --json", "again"),
]


@pytest.fixture
def report(study: StudyView) -> ReportView:
    ended = dataclasses.replace(study, trials=study.trials[:5], elapsed_seconds=702.0)
    best, default = Summary(1_398.2, 1_398.2, 1_320.4, 1_470.9, 50), Summary(221.3, 221.3, 201.2, 240.7, 50)
    return ReportView(ended, best, default, Summary(23.9, 23.9, 22.1, 25.5, 50))


@pytest.mark.parametrize("width", [80, 160])
def test_it_says_what_was_found(report: ReportView, show: Callable[..., str], width: int) -> None:
    text = show(Report(report, COMMANDS), width)
    assert "hopper: 5 of 5 trials ended in 11:42 (3 complete, 1 pruned, 1 diverged)" in text
    rows = {line.strip().split("  ")[0]: line for line in text.splitlines() if line.strip()}
    assert "1,398.2  1,320.4 to 1,470.9" in rows["best, trial 3"]
    assert "221.3" in rows["defaults, trial 0"]
    assert "22.1 to 25.5" in rows["random play"]
    assert rows["entropy.alpha"].split() == ["entropy.alpha", "0.04", "0.01"]


def test_commands_are_never_wrapped(report: ReportView, show: Callable[..., str]) -> None:
    assert f"  {COMMANDS[1][0]}\n" in show(Report(report, COMMANDS), 60) + "\n"


def test_a_parameter_that_only_one_side_has_is_left_empty_on_the_other(
    report: ReportView, show: Callable[..., str]
) -> None:
    lines = show(Report(report), 80).splitlines()
    assert next(line.split() for line in lines if "entropy.target" in line) == ["entropy.target", "4"]


def test_without_a_completed_trial_it_says_so(report: ReportView, show: Callable[..., str]) -> None:
    pruned = dataclasses.replace(report.study, trials=report.study.trials[2:3])
    text = show(Report(dataclasses.replace(report, study=pruned), COMMANDS), 80)
    assert "No trial completed" in text
    assert "omad-search ui" in text


def test_what_could_not_be_evaluated_is_left_open(report: ReportView, show: Callable[..., str]) -> None:
    text = show(Report(dataclasses.replace(report, best=None, random=None)), 80)
    assert "best, trial 3" in text
    assert "random play" not in text
