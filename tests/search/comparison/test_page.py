"""The page of a comparison: what each search and each confirmation showed, in one file."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from page_studies import confirm, end

from search.comparison import page
from search.storage.store import open_storage


def test_of_searches_with_enough_trials_each_tells_what_mattered(
    tmp_path: Path, begun: Callable[..., Any]
) -> None:
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        _, searches = begun(store, trials=10)
        for place, search in enumerate(searches):
            for number in range(10):
                end(store, search, "complete", 100.0 + 37.0 * ((number + place) * 7 % 10))
            confirm(store, search, [900.0, 310.0, 870.0, 290.0])
        made = page.make(store, searches, None)
    scripts = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', made.html, re.DOTALL)
    bars = [
        dict(zip(trace["y"], trace["x"], strict=True))
        for plot in map(json.loads, scripts)
        for trace in plot["data"]
        if trace["type"] == "bar" and trace.get("orientation") == "h"
    ]
    for algorithm, own in zip(("omad", "gaussian"), made.document["searches"], strict=True):
        assert f"What mattered to {algorithm}" in made.html
        assert any(each == pytest.approx(own["importances"]) for each in bars)


def test_what_mattered_is_not_told_of_a_search_with_too_few_trials(
    tmp_path: Path, begun: Callable[..., Any]
) -> None:
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        _, searches = begun(store, trials=12)
        for number in range(12):
            end(store, searches[0], "complete", 100.0 + 37.0 * (number * 7 % 12))
        made = page.make(store, searches, None)
    assert "What mattered to omad" in made.html
    assert "What mattered to gaussian" not in made.html
    assert made.document["searches"][0]["importances"]
