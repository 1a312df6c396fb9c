"""The page of a study: the numbers of `best`, nothing that runs but its own script, a word for what is not there."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from page_studies import HOSTILE, end, new_study, whole_study
from sqlalchemy import text

from omad_core.results.statistics import Summary
from search.reports.page import builder, view
from search.reports.page.answer import answer
from search.reports.page.builder import RenderedPage
from search.reports.page.sections import ROUGH_NOTE
from search.slots.studies import StudyHandle
from search.storage.store import Store, open_storage
from search.storage.tables import AttemptRow, EvaluationRow, Schema
from search.view import confirmation, status
from search.view.confirmation import as_document
from search.view.wording import score


class Parsed(HTMLParser):
    """A page's elements, its words, and the data of its plots."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words, self.plots, self._in = "", list[dict[str, Any]](), ""
        self.feed(page)
        self.words = " ".join(self.words.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in = str(dict(attrs).get("type", "text/javascript")) if tag == "script" else tag

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "application/json":
            self.plots.append(json.loads(data))
        elif "/" not in self._in and self._in != "style":
            self.words += f" {data}"

    def section(self, title: str) -> str:
        """The words from a heading to the end."""
        return self.words[self.words.rindex(title) :]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_storage(f"sqlite:///{tmp_path_factory.mktemp('page')}/omad.db", create=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def whole(store: Store) -> StudyHandle:
    return whole_study(store, "whole", complete=10)


@pytest.fixture(scope="module")
def page(store: Store, whole: StudyHandle) -> RenderedPage:
    return builder.make(store, whole, None)


@pytest.fixture(scope="module")
def parsed(page: RenderedPage) -> Parsed:
    return Parsed(page.html)


def test_every_number_is_that_of_the_views(
    store: Store, whole: StudyHandle, page: RenderedPage, parsed: Parsed
) -> None:
    found = confirmation.read(store, whole)
    assert found is not None
    assert page.document["confirmation"] == as_document(found)
    assert f"{found.sentence[1:]}." in parsed.words
    for each in found.candidates:
        assert each.estimate is not None
        assert each.estimate.low is not None
        shown = [*each.values.values(), each.estimate.point]
        assert all(f" {score(value)} " in parsed.words for value in shown)
        assert f"{score(each.estimate.low)} to {score(each.estimate.high)}" in parsed.words
    study = status.read(store, whole)
    assert page.document["best"] == study.best
    assert study.best is not None
    assert f"trial {study.best.number}: {score(study.best.score)}." in parsed.words
    points = next(plot for plot in parsed.plots if len(plot["data"]) == 6)["data"]
    assert {tuple(p["x"]) for p in points if p["mode"] == "markers"} == {
        tuple(each.values.values()) for each in found.candidates
    }


def test_the_plots_have_the_numbers_of_the_document(page: RenderedPage, parsed: Parsed) -> None:
    curves = [(list(each.steps), list(each.middle)) for each in page.document["curves"]]
    assert len(curves) == 2
    assert curves[0][0] == [100, 200, 300]
    drawn = [(t.get("x"), t.get("y")) for plot in parsed.plots for t in plot["data"]]
    assert all(each in drawn for each in curves)
    bars = next(t for p in parsed.plots for t in p["data"] if t["type"] == "bar" and t["orientation"] == "h")
    assert dict(zip(bars["y"], bars["x"], strict=True)) == pytest.approx(page.document["importances"])
    assert sum(page.document["importances"].values()) == pytest.approx(1.0)
    assert len(page.document["attempts"]) == 1 + 13 + 6


def test_a_parameter_of_a_single_trial_has_a_rough_share_and_that_is_told(store: Store) -> None:
    handle = new_study(store, "rough", 10)
    for number in range(10):
        more = {"rare": "is there"} if number == 3 else {}
        end(store, handle, "complete", 100.0 + 37.0 * (number * 7 % 10), **more)
    page = builder.make(store, handle, None)
    assert "rare" in page.document["importances"]
    assert ROUGH_NOTE in Parsed(page.html).words


def test_sections_come_in_order_and_what_went_wrong_is_told(parsed: Parsed) -> None:
    anchors = [at["id"] for tag, at in parsed.elements if tag == "section"]
    assert anchors == [
        "answer", "film", "curves", "history", "parameters", "pruning", "timeline", "failures", "reproduce",
    ]  # fmt: skip
    assert "1 fell silent, 1 taken over" in parsed.section("Workers and trials")
    assert "failed the arm broke 12" in parsed.section("What went wrong")
    again = parsed.section("How to reproduce it")
    assert "omad-search run --task hopper --study whole --profile smoke" in again
    assert "--trials 13 --env-steps 300" in again
    assert "4,000,000,000,000; 4,000,000,000,001; 4,000,000,000,002" in again
    assert re.search(r"torch 2\.", again)


def test_nothing_is_loaded_and_nothing_runs_but_the_pages_script(store: Store) -> None:
    made = builder.make(store, whole_study(store, "hostile", complete=2, hostile=HOSTILE), None)
    seen = Parsed(made.html)
    assert HOSTILE in seen.words
    (policy,) = [str(at["content"]) for tag, at in seen.elements if "Security" in str(at.get("http-equiv"))]
    (nonce,) = re.findall(r"'nonce-([^']+)'", policy)
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    scripts = [at for tag, at in seen.elements if tag == "script"]
    running = [at for at in scripts if "type" not in at]
    assert [at["nonce"] for at in running] == [nonce]
    assert not [tag for tag, _ in seen.elements if tag in ("iframe", "object", "embed", "img", "base")]
    for _, attributes in seen.elements:
        assert not [name for name in attributes if name.startswith("on")]
        links = [str(attributes[name]) for name in ("src", "href", "srcset", "action") if name in attributes]
        assert all(link.startswith(("#", "data:")) for link in links)
    plotted = json.dumps(seen.plots)
    assert "&lt;/script&gt;&lt;img" in plotted
    assert "<img" not in plotted, "plotly reads markup"


def test_an_untouched_study_has_a_page_that_says_so(store: Store) -> None:
    seen = Parsed(builder.make(store, new_study(store, "untouched", 2), None).html)
    assert "No trial has completed yet, so there is no best one." in seen.words
    assert "No film: no trial completed" in seen.words
    assert "No worker has begun a trial yet" in seen.words
    assert seen.plots == []


def test_what_an_interval_is_over_is_said_beside_it_alone(
    store: Store, whole: StudyHandle, parsed: Parsed
) -> None:
    assert "As the best of noisy values, that score flatters." in parsed.words
    assert "over episodes" not in parsed.words, "the only intervals of this page are over seeds"
    played = view.with_returns(view.read(store, whole), {"best": Summary(5.0, 5.0, 4.0, 6.0, 20)})
    returns = next(table for table in answer(played).tables if "fresh episodes" in table.title)
    assert "not over seeds" in returns.note


def test_of_one_trial_nothing_is_said_of_parameters(store: Store) -> None:
    handle = new_study(store, "one", 1)
    end(store, handle, "complete", 5.0)
    made = builder.make(store, handle, None)
    seen = Parsed(made.html)
    assert "Not confirmed: trial 0 has the best score in the search, 5.0." in seen.words
    assert "1 attempt by 1 worker. A row" in seen.words, "nothing happened that is worth a word"
    assert "1 complete trial: fewer than 10 say nothing of parameters" in seen.words
    assert "best, trial 0: the defaults" in seen.words
    assert "defaults, trial 0" not in seen.words, "they are the best"
    assert made.document["importances"] == {}


def test_failures_alone_have_their_reasons(store: Store) -> None:
    handle = new_study(store, "failures", 3)
    for _ in range(2):
        end(store, handle, "failed", reason="no such file: world.xml")
    end(store, handle, "diverged", reason="diverged: NaN")
    seen = Parsed(builder.make(store, handle, None).html)
    assert "No trial completed, so there is no best one." in seen.words
    assert "2 failed no such file: world.xml 0, 1" in seen.words
    assert "1 diverged NaN 2" in seen.words


def test_scores_that_are_all_the_same_are_no_error(store: Store) -> None:
    handle = new_study(store, "same", 11)
    for _ in range(11):
        end(store, handle, "complete", 1.0)
    made = builder.make(store, handle, None)
    assert "All complete trials have the same score" in made.html
    assert made.document["importances"] == {}


def test_a_database_of_before_these_rows_is_read(tmp_path: Path) -> None:
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as old:
        handle = whole_study(old, "old", complete=2)
        with old.write() as connection:
            for table in (AttemptRow, EvaluationRow):
                connection.execute(text(f"DROP TABLE {table.__tablename__}"))
            connection.execute(text(f"UPDATE {Schema.__tablename__} SET version = 2"))
        read = view.read(old, handle)
        made = builder.make(old, handle, None)
    assert not read.attempts_known
    assert len(read.curves) == 2
    assert {work.attempt.owner for work in read.work} == {"host:0", "host:1"}
    assert "stored no attempts" in made.html
