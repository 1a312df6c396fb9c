"""The page of a comparison, of trials that nobody trained."""

from pathlib import Path

from page_studies import end

from search.comparison import page
from search.storage.store import open_storage


def test_what_mattered_is_drawn_for_each_search_with_enough_trials(begun, tmp_path: Path) -> None:
    with open_storage(f"sqlite:///{tmp_path}/study.db", create=True) as store:
        _, searches = begun(store, trials=12)
        for number in range(12):
            end(store, searches[0], "complete", 100.0 + 37.0 * (number * 7 % 12))
        made = page.make(store, searches, None)
    assert "What mattered to omad" in made.html
    assert "What mattered to gaussian" not in made.html
    assert made.document["searches"][0]["importances"]
