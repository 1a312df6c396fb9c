"""Patience: what may be repeated is, as long as the database may come back."""

import itertools
import logging

import pytest

from search.errors import StorageRefused, StorageUnavailable
from search.storage import patience
from search.storage.patience import patiently


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that were asked for; the clock runs by them alone."""
    pauses: list[float] = []
    monkeypatch.setattr(patience.time, "sleep", pauses.append)
    monkeypatch.setattr(patience.time, "monotonic", lambda: sum(pauses))
    return pauses


def test_an_action_is_repeated_until_the_database_is_back(
    slept: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    tries = itertools.count(1)

    def action() -> str:
        if next(tries) < 5:
            raise StorageUnavailable("storage x: connection refused")
        return "written"

    with caplog.at_level(logging.WARNING):
        assert patiently(action, 600.0) == "written"
    assert len(slept) == 4
    assert slept[3] > slept[0]
    assert "storage x: connection refused; trying again for 600 s" in caplog.text


def test_patience_ends(slept: list[float]) -> None:
    def action() -> None:
        raise StorageUnavailable("away")

    with pytest.raises(StorageUnavailable):
        patiently(action, 60.0)
    assert sum(slept) == pytest.approx(60.0)
    assert max(slept) <= patience.LONGEST_PAUSE


def test_what_will_not_get_better_is_raised_at_once(slept: list[float]) -> None:
    def action() -> None:
        raise StorageRefused("no such table")

    with pytest.raises(StorageRefused):
        patiently(action, 60.0)
    assert slept == []
