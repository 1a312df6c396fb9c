"""The page of results: made from records, and people's words around it stay."""

import pytest

from cli import results_page
from omad_core.errors import ConfigError
from omad_core.evidence import Cell, Record


def finished(algorithm, seed, returns):
    cell = Cell("simple_spread_n3", algorithm, seed)
    curve = tuple({"step": 1_000 * n, "return": -60.0 - n} for n in range(1, 4))
    return Record(
        cell.task, algorithm, seed, cell.settings, "world", {"mpe2": "1"}, "today", 12.0, curve, returns
    )


def test_seeds_are_summed_up_and_words_around_the_table_stay(tmp_path):
    page = tmp_path / "results.md"
    records = [finished("omad-quantile", 0, (-50.0, -52.0)), finished("omad-quantile", 1, (-60.0,))]
    results_page.write(page, records)
    page.write_text(page.read_text() + "\nWhy it is so.\n")
    results_page.write(page, [*records, finished("gaussian", 0, ())])
    text = page.read_text()
    assert "| omad-quantile | 2 | -55.5 | -60.0 to -51.0 | -51.0, -60.0 |" in text
    assert "| gaussian | 1, 1 diverged | - |" in text
    assert text.endswith("\nWhy it is so.\n")
    assert text.count("Cooperative Navigation") == 1


def test_a_page_without_marks_is_left_alone(tmp_path):
    page = tmp_path / "results.md"
    page.write_text("mine")
    with pytest.raises(ConfigError, match="no lines"):
        results_page.write(page, [])
    assert page.read_text() == "mine"
