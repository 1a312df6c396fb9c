"""The sender delivers everything in the end, and its caller never waits."""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_tracker import FakeTracker

from tracking.errors import TrackingError, TrackingRefused, TrackingUnavailable
from tracking.row import Row
from tracking.sender import Sender, send_curve, send_first
from tracking.spool.spool import Spool


@pytest.fixture
def sender() -> Iterator[Sender]:
    """A sender with short pauses."""
    sender = Sender(first_pause=0.01, longest_pause=0.05)
    yield sender
    sender.close(5)


class Server:
    """Something that can be away; remembers what it was given."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.up.set()
        self.got: list[str] = []
        self.tries = 0

    def take(self, what: str) -> None:
        self.tries += 1
        if not self.up.is_set():
            raise TrackingUnavailable("The server is away.")
        self.got.append(what)


def wait_until(condition: object, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)


def test_jobs_run_in_the_background_and_drain_waits_for_them(sender: Sender) -> None:
    server = Server()
    for number in range(5):
        sender.submit(f"job {number}", lambda number=number: server.take(str(number)))
    assert sender.drain(5)
    assert server.got == ["0", "1", "2", "3", "4"]
    assert sender.pending() == []


def test_submitting_never_waits_for_a_slow_server(sender: Sender) -> None:
    release = threading.Event()
    sender.submit("slow", release.wait)
    started = time.monotonic()
    for number in range(1_000):
        sender.submit(f"job {number}", lambda: None)
    assert time.monotonic() - started < 0.5
    assert not sender.drain(0.05)
    release.set()
    assert sender.drain(5)


def test_a_job_is_tried_until_the_server_is_back(sender: Sender) -> None:
    server = Server()
    server.up.clear()
    sender.submit("curve", lambda: server.take("curve"))
    wait_until(lambda: server.tries >= 4)
    assert sender.unavailable_seconds() > 0
    assert server.got == []
    server.up.set()
    assert sender.drain(5)
    assert server.got == ["curve"]
    assert sender.unavailable_seconds() == 0


def test_pauses_between_tries_grow_up_to_a_limit() -> None:
    server = Server()
    server.up.clear()
    sender = Sender(first_pause=0.02, longest_pause=10.0)
    sender.submit("curve", lambda: server.take("curve"))
    time.sleep(0.7)
    assert 2 <= server.tries <= 8, "0.02, 0.04, 0.08, ... fit at most 8 times into 0.7 s, halved by jitter"
    assert not sender.close(0)


def test_when_the_server_is_back_nothing_waits_out_its_pause() -> None:
    server = Server()
    server.up.clear()
    sender = Sender(first_pause=0.05, longest_pause=60.0)
    delivered: list[float] = []

    def deliver() -> None:
        server.take("job")
        delivered.append(time.monotonic())

    for number in range(20):
        sender.submit(f"job {number}", deliver)
    wait_until(lambda: server.tries >= 100)  # by now the pauses differ by half a second
    server.up.set()
    wait_until(lambda: len(delivered) == 20)
    assert delivered[-1] - delivered[0] < 0.2
    assert sender.close(5)


def test_draining_tries_at_once_what_waits() -> None:
    server = Server()
    server.up.clear()
    sender = Sender(first_pause=60.0, longest_pause=60.0)
    sender.submit("curve", lambda: server.take("curve"))
    wait_until(lambda: server.tries == 1)
    server.up.set()
    assert sender.close(2)
    assert server.got == ["curve"]


def test_a_newer_job_replaces_a_waiting_one_of_its_key(sender: Sender) -> None:
    server = Server()
    server.up.clear()
    sender.submit("curve", lambda: server.take("old"))
    wait_until(lambda: server.tries >= 1)
    sender.submit("curve", lambda: server.take("new"))
    sender.submit("other", lambda: server.take("other"))
    server.up.set()
    assert sender.drain(5)
    assert sorted(server.got) == ["new", "other"]


def test_jobs_of_one_key_never_run_at_once_and_keep_their_order(sender: Sender) -> None:
    running, release = threading.Event(), threading.Event()
    server = Server()

    def first() -> None:
        running.set()
        release.wait()
        server.take("first")

    sender.submit("curve", first)
    running.wait()
    sender.submit("curve", lambda: server.take("second"))
    release.set()
    assert sender.drain(5)
    assert server.got == ["first", "second"]


def test_an_old_job_that_fails_does_not_come_back_over_a_newer_one(sender: Sender) -> None:
    running, release = threading.Event(), threading.Event()
    server = Server()

    def first() -> None:
        running.set()
        release.wait()
        raise TrackingUnavailable("The server is away.")

    sender.submit("curve", first)
    running.wait()
    sender.submit("curve", lambda: server.take("second"))
    release.set()
    assert sender.drain(5)
    assert server.got == ["second"]


@pytest.mark.parametrize("error", [TrackingRefused("No."), TrackingError("Disk full."), KeyError("surprise")])
def test_what_cannot_succeed_is_given_up_and_told_once_and_others_go_on(
    sender: Sender, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server()

    def fail() -> None:
        raise error

    sender.submit("bad", fail)
    sender.submit("good", lambda: server.take("good"))
    assert sender.drain(5)
    assert server.got == ["good"]
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert "Not recorded (bad)" in line
    assert str(error) in line


def test_a_fault_that_was_not_foreseen_is_logged_with_its_trace_but_without_passwords(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError("postgresql://ann:hunter2@db.org/runs")

    sender.submit("bad", fail)
    assert sender.drain(5)
    assert "in fail" in caplog.text
    assert "postgresql://ann:***@db.org/runs" in caplog.text
    assert "hunter2" not in caplog.text


def test_an_outage_is_logged_once(sender: Sender, caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    server.up.clear()
    sender.submit("curve", lambda: server.take("curve"))
    wait_until(lambda: server.tries >= 5)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    server.up.set()
    assert sender.drain(5)


def test_closing_with_the_server_away_ends_in_time_and_says_so() -> None:
    server = Server()
    server.up.clear()
    sender = Sender()
    sender.submit("curve", lambda: server.take("curve"))
    started = time.monotonic()
    assert not sender.close(0.2)
    assert time.monotonic() - started < 2
    with pytest.raises(TrackingError, match="closed"):
        sender.submit("curve", lambda: None)


def test_a_job_that_one_server_always_fails_does_not_hold_up_the_others(sender: Sender) -> None:
    server, away = Server(), Server()
    away.up.clear()
    sender.submit("poison", lambda: away.take("poison"))
    for number in range(20):
        sender.submit(f"job {number}", lambda number=number: server.take(str(number)))
    wait_until(lambda: len(server.got) == 20)
    assert sender.pending() == ["poison"]
    away.up.set()


class RowsTracker(FakeTracker):
    """Remembers rows; can be away."""

    def __init__(self) -> None:
        self.server = Server()
        self.rows: list[Row] = []

    def log_rows(self, run_id: str, rows: object) -> None:
        self.server.take(run_id)
        self.rows += rows  # type: ignore[operator]


def test_a_curve_is_sent_up_to_the_step_and_each_row_once(tmp_path: Path) -> None:
    spool, tracker = Spool(tmp_path), RowsTracker()
    rows = [Row(step, step, {"train/alpha": 1.0}) for step in range(1_000)]
    spool.append(rows)
    assert send_curve(spool, tracker, "run", up_to_step=599) == 600
    assert send_curve(Spool(tmp_path), tracker, "run", up_to_step=999) == 400
    assert send_curve(spool, tracker, "run", up_to_step=999) == 0
    assert tracker.rows == rows


def test_a_curve_that_could_not_be_sent_is_sent_later(tmp_path: Path) -> None:
    spool, tracker = Spool(tmp_path), RowsTracker()
    rows = [Row(step, step, {"train/alpha": 1.0}) for step in range(5)]
    spool.append(rows)
    tracker.server.up.clear()
    with pytest.raises(TrackingUnavailable):
        send_curve(spool, tracker, "run", up_to_step=9)
    assert spool.sent == 0
    tracker.server.up.set()
    assert send_curve(spool, tracker, "run", up_to_step=9) == 5
    assert tracker.rows == rows


def test_no_row_past_the_count_leaves_even_at_the_same_step(tmp_path: Path) -> None:
    spool, tracker = Spool(tmp_path), RowsTracker()
    spool.append([Row(step, step, {"x": 1.0}) for step in (100, 200, 200, 300)])
    send_first(spool, tracker, "run", 2)
    assert spool.sent == 2
    send_first(spool, tracker, "run", 1)
    assert spool.sent == 2
    send_first(spool, tracker, "run", 4)
    assert [row.time_ms for row in spool.rows()] == [100, 200, 200, 300]
    assert spool.sent == 4
