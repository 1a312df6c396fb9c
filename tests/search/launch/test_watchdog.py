"""Trainings that hang and trainings that are slow, by real workers under a real supervisor."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.launch import watchdog
from search.launch.supervisor import Child, Supervisor
from search.launch.watchdog import Listener, Watchdog

SLOW = Path(__file__).with_name("slow_trainer.py")
LEASE_SECONDS = 2.0


def supervised(study: Any, mode: str) -> Supervisor:
    words = [sys.executable, str(SLOW), mode, str(study.folder), "worker", study.name, "--device", "cpu"]
    return Supervisor([Child(0, words, study.environment(), study.folder / "worker.log")])


def run(workers: Supervisor, until: Callable[[], bool], seconds: float = 90) -> None:
    """Supervise until something is so."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, workers.children[0].last_words()
        workers.look()
        time.sleep(0.05)


def test_a_worker_that_hangs_loses_its_trial_and_is_replaced(
    location: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    study = location("study", 1, lease_seconds=LEASE_SECONDS)
    workers = supervised(study, "hang")
    try:
        run(workers, (study.folder / "hang").exists)
        first = workers.children[0].process
        assert first is not None
        run(workers, lambda: (study.rows()[0].expires_in or 0.0) < 0.0)
        assert first.poll() is None, "the lease is lost before the process is ended"
        run(workers, lambda: workers.ended)
    finally:
        workers.kill()
        workers.wait(10)
    assert first.returncode == -signal.SIGKILL
    assert "worker 0 hangs: a step of its training has not returned" in caplog.text
    assert not (study.folder / "returned").exists()
    (row,) = study.rows()
    assert (row.outcome, row.published, row.token) == ("complete", True, 2)


def test_a_worker_that_announced_a_long_step_keeps_its_trial(location: Callable[..., Any]) -> None:
    study = location("study", 1, lease_seconds=LEASE_SECONDS)
    workers = supervised(study, "busy")
    try:
        run(workers, (study.folder / "busy").exists)
        left: list[float] = []

        def returned() -> bool:
            left.append(study.rows()[0].expires_in or 0.0)
            return (study.folder / "returned").exists()

        run(workers, returned)
        assert min(left) > 0.0
        run(workers, lambda: workers.ended)
    finally:
        workers.kill()
        workers.wait(10)
    (row,) = study.rows()
    assert (row.outcome, row.token) == ("complete", 1)


class Line:
    """A worker's end and its supervisor's, and a clock between them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(watchdog.time, "monotonic", lambda: self.now)
        self.listener = Listener()
        self.watchdog = Watchdog(os.dup(self.listener.theirs))

    def later(self, seconds: float, suspended: bool = False) -> float | None:
        """Time passes, and the supervisor looks every second."""
        found = None
        for _ in range(int(seconds)):
            self.now += 1.0
            found = found or self.listener.overdue(suspended)
        return found


def test_only_a_step_that_is_late_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch)
    assert line.later(1000) is None, "it has not begun yet, or waits for a storage"
    with line.watchdog.within(10.0):
        assert line.later(9) is None
    with line.watchdog.within(10.0):
        assert line.later(9) is None
        assert line.later(9, suspended=True) is None, "whoever is suspended hangs nowhere"
        assert line.later(5) is not None
        assert line.later(100) is None, "told once"
    assert line.later(100) is None


def test_a_supervisor_that_was_away_does_not_hold_it_against_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = Line(monkeypatch)
    with line.watchdog.within(10.0):
        assert line.later(1) is None
        line.now += 3600
        assert line.listener.overdue(suspended=False) is None


def test_a_worker_outlives_a_supervisor_that_does_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch)
    os.set_blocking(line.listener.theirs, False)
    for _ in range(20_000):
        with line.watchdog.within(10.0):
            pass
    line.listener.close()
    os.close(line.listener.theirs)
    with line.watchdog.within(10.0):
        pass


def test_what_a_worker_noted_before_its_death_is_known_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch)
    with line.watchdog.within(10.0):
        line.watchdog.trial_ended()
        assert line.later(5) is None, "a note is no promise of a time"
        assert line.later(10) is not None
    line.watchdog.unfit()
    line.listener.close()
    assert line.listener.trial_ended
    assert line.listener.unfit


def test_a_process_that_ends_with_code_0_in_the_midst_of_its_work_has_died(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = Line(monkeypatch)
    assert line.later(1) is None
    assert not line.listener.working
    with line.watchdog.working():
        assert line.later(1) is None
        assert line.listener.working
    line.listener.close()
    assert not line.listener.working


def dead(trial_ended: bool, child: Child) -> None:
    """Have a worker's process end with code 1, after it noted that a trial ended or not."""
    child.start()
    assert child.process is not None
    child.process.wait(30)
    assert child.listener is not None
    child.listener.trial_ended = trial_ended
    child.look()


def test_deaths_count_against_a_worker_only_while_no_trial_ends(tmp_path: Path) -> None:
    child = Child(0, [sys.executable, "-c", "raise SystemExit(1)"], {}, tmp_path / "log", most_crashes=3)
    for trial_ended in (False, False, True, False):
        dead(trial_ended, child)
        assert child.code is None
    dead(False, child)
    assert child.code == 1
