"""On a narrow terminal tables fold into blocks or leave columns out: no name and no number is cut."""

import dataclasses
from collections.abc import Callable

import pytest
from rich.table import Table

from cli.show.report import Report
from cli.show.status import StatusView
from cli.show.tables import FoldingTable
from omad_core.results.statistics import Summary
from search.view.report_view import ReportView
from search.view.views import StudyView

Show = Callable[..., str]
WIDTHS = [40, 60, 80, 120]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_report_keeps_its_names_and_returns(study: StudyView, show: Show, width: int) -> None:
    ended = dataclasses.replace(study, trials=study.trials[:5])
    best, default = Summary(1_398.2, 1_398.2, 1_320.4, 1_470.9, 50), Summary(221.3, 221.3, 201.2, 240.7, 50)
    text = show(Report(ReportView(ended, best, default, Summary(23.9, 23.9, 22.1, 25.5, 50))), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for whole in ("best, trial 3", "defaults, trial 0", "random play", "1,398.2", "221.3", "23.9", "1,412.7"):
        assert whole in text
    for path, value in (("critic.learning_rate", "0.000317"), ("entropy.alpha", "0.04")):
        assert path in text
        assert value in text


@pytest.mark.parametrize("width", WIDTHS)
def test_the_live_view_cuts_no_number(study: StudyView, show: Show, width: int) -> None:
    held = tuple(
        dataclasses.replace(trial, lease_seconds=40.0, device="cuda:0", worker="a-host-of-a-long-name:0")
        if trial.state == "running"
        else trial
        for trial in study.trials
    )
    lines = show(StatusView(dataclasses.replace(study, trials=held), leases=True), width).splitlines()
    assert max(map(len, lines)) <= width
    row = next(line for line in lines if line.split()[:2] == ["5", "running"])
    assert "4,300/6,000" in row
    assert "330.0" in row
    lease = next(line for line in lines if "40 s left" in line)
    assert lease.split()[0].startswith("a-host")
    assert "5" in lease.split()


@pytest.mark.parametrize("width", [20, 30])
def test_a_block_has_what_the_row_had(show: Show, width: int) -> None:
    table = Table()
    for title in ("task", "two\nwords", "empty"):
        table.add_column(title, no_wrap=True)
    table.add_row("simple_spread_n3", "a value of its own", "")
    title, *lines = show(FoldingTable(table), width).splitlines()
    assert title == "task:"
    assert lines[0] == "simple_spread_n3"
    assert lines[1].split()[:3] == ["two", "words", "a"]
    assert "empty" not in "".join(lines)
    assert "".join(line[13:] for line in lines[1:]).replace(" ", "") == "avalueofitsown"


def test_a_table_that_fits_is_a_table(show: Show) -> None:
    table = Table()
    table.add_column("task")
    table.add_row("hopper")
    assert "┏" in show(FoldingTable(table), 40)
