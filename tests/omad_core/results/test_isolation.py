"""An environment of a user's own that ends its process while it is assessed ends no more than that."""

import os
import signal
import time
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path

import pytest

from omad_core.config import EnvConfig
from omad_core.errors import EnvironmentFailed
from omad_core.results import assessment
from omad_core.results.isolation import POSSIBLE, Progress, apart

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="a process is forked on Linux alone")


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "signal 9"),
        (lambda: os._exit(0), "exit code 0"),
        (lambda: os._exit(7), "exit code 7"),
    ],
)
def test_a_process_that_ends_is_the_environments_failure(end: Callable[[], None], how: str) -> None:
    def measure(progress: Progress) -> None:
        progress(1, 20)
        end()

    seen: list[tuple[int, int]] = []
    with pytest.raises(
        EnvironmentFailed, match=rf"mine:make ended the process that it was played in \({how}\)"
    ):
        apart("mine:make", measure, lambda *now: seen.append(now))
    assert seen == [(1, 20)]


def test_one_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omad_core.results.isolation.SILENT_SECONDS", 0.6)
    monkeypatch.setattr("omad_core.results.isolation.TICK_SECONDS", 0.2)

    def measure(progress: Progress) -> None:
        for step in range(4):  # slower than the limit in all, and no step of it
            progress(step, step)
            time.sleep(0.3)
        time.sleep(600)

    seen: list[tuple[int, int]] = []
    with pytest.raises(EnvironmentFailed, match="mine:make hangs: no step of it has returned for 1 s"):
        apart("mine:make", measure, lambda *now: seen.append(now))
    assert len(seen) == 4
    assert not active_children()


def test_what_is_raised_there_is_told_here() -> None:
    def measure(progress: Progress) -> None:
        raise EnvironmentFailed("the wheel came off")

    with pytest.raises(EnvironmentFailed, match="the wheel came off"):
        apart("mine:make", measure, lambda *_: None)


def test_ones_own_environment_is_played_apart_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "envs"))
    told: list[int] = []
    found = assessment.assess_random(
        "toy_worlds:relay", EnvConfig(), 5, 3, lambda ended, _: told.append(ended)
    )
    assert (len(found.returns), told[-1]) == (5, 5)
    monkeypatch.setattr(assessment, "POSSIBLE", False)
    assert assessment.assess_random("toy_worlds:relay", EnvConfig(), 5, 3) == found
