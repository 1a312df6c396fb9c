"""The server is down at start, goes away in the middle, or does not answer: nothing waits, nothing is lost."""

import http.server
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from mlflow import MlflowClient

from tracking.errors import TrackingError, TrackingRefused, TrackingUnavailable
from tracking.mlflow.errors import translate_errors
from tracking.mlflow.probe import probe_server
from tracking.mlflow.tracker import MlflowTracker
from tracking.row import Row
from tracking.sender import Sender, send_curve
from tracking.spool.spool import Spool
from tracking.tracker import RunInfo


def curve(count: int) -> list[Row]:
    return [Row(step, 1_700_000_000_000 + step, {"train/alpha": step / 7}) for step in range(count)]


def points(address: str, run_id: str) -> list[tuple[int, float]]:
    history = MlflowClient(address).get_metric_history(run_id, "train/alpha")
    return sorted((point.step, point.value) for point in history)


def seconds_until(error: type[Exception], call: Callable[[], Any], match: str) -> float:
    started = time.monotonic()
    with pytest.raises(error, match=match):
        call()
    return time.monotonic() - started


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_is_down_is_told_at_once_and_by_its_address() -> None:
    port = closed_port()
    tracker = MlflowTracker(f"http://ann:hunter2@127.0.0.1:{port}")
    shown = rf"^The tracking server http://\*\*\*@127\.0\.0\.1:{port} cannot be reached: nothing listens there; start"
    took = seconds_until(TrackingUnavailable, tracker.check, shown)
    assert took < 1
    took = seconds_until(
        TrackingUnavailable, lambda: tracker.open_run(RunInfo("x", "x")), "cannot be reached"
    )
    assert took < 3


def test_a_probe_refuses_what_cannot_be_a_server_and_leaves_the_rest_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    down = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(TrackingUnavailable, match=rf"^The tracking server {down} cannot be reached: nothing"):
        probe_server(down)
    with pytest.raises(TrackingUnavailable, match="no such host is known here"):
        probe_server("https://nowhere.invalid")
    for other in (
        "sqlite:///mlflow.db",
        "postgresql://me:secret@127.0.0.1:1/x",
        "http://host:port",
        "nonsense",
    ):
        probe_server(other)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http://me:hush@", ""])
def test_a_proxy_that_is_in_the_way_is_named_with_the_way_around_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str
) -> None:
    proxy, shown = closed_port(), scheme.replace("me:hush", "***")
    monkeypatch.setenv(variable, f"{scheme}127.0.0.1:{proxy}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        told = (
            rf"^The tracking server http://127.0.0.1:{port} cannot be reached: requests to it go through the proxy "
            rf"{re.escape(shown or 'http://')}127.0.0.1:{proxy} \({variable}\), and nothing listens there; "
            r"to reach it directly: export NO_PROXY=127.0.0.1\.$"
        )
        address = f"http://127.0.0.1:{port}"
        for call in (lambda: probe_server(address), MlflowTracker(address).check):
            with pytest.raises(TrackingUnavailable, match=told):
                call()
        monkeypatch.setenv("NO_PROXY", "example.org,127.0.0.0/8")
        probe_server(address)


def test_certificates_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"https://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(TrackingError, match=r"/nowhere/ca\.pem \(REQUESTS_CA_BUNDLE\)"):
            MlflowTracker(address).check()


def test_a_probe_reaches_a_server_and_the_one_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        probe_server(f"http://127.0.0.1:{server.getsockname()[1]}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(TrackingUnavailable):
        probe_server(None)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    probe_server(None)


def test_a_database_server_that_is_down_is_told_at_once_and_without_its_password() -> None:
    port = closed_port()
    tracker = MlflowTracker(f"postgresql+psycopg://ann:hunter2@127.0.0.1:{port}/runs")
    with pytest.raises(TrackingUnavailable):
        tracker.check()  # what the imports take is not counted
    took = seconds_until(
        TrackingUnavailable,
        tracker.check,
        rf"ann:\*\*\*@127\.0\.0\.1:{port}/runs cannot be reached: nothing listens",
    )
    assert took < 3
    with pytest.raises(TrackingUnavailable) as caught:
        tracker.check()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


def test_a_host_that_does_not_exist_is_told() -> None:
    tracker = MlflowTracker("http://no-such-host.invalid:5000")
    seconds_until(
        TrackingUnavailable, tracker.check, r"no-such-host\.invalid:5000 cannot be reached: no such host"
    )


def test_a_database_that_cannot_be_used_now_is_told_without_its_drivers_words(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/mlflow.db"
    engine = sqlalchemy.create_engine(address, connect_args={"timeout": 0}, poolclass=sqlalchemy.NullPool)
    with sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None) as holder:
        holder.execute("CREATE TABLE held (x)")
        holder.execute("BEGIN EXCLUSIVE")
        with (
            pytest.raises(TrackingUnavailable) as caught,
            translate_errors(address),
            engine.begin() as connection,
        ):
            connection.execute(sqlalchemy.text("INSERT INTO held VALUES (1)"))
    holder.close()
    held = "another process holds the file; try again."
    assert str(caught.value) == f"The tracking database {address} cannot be reached: {held}"
    (tmp_path / "folder").mkdir()
    address = f"sqlite:///{tmp_path}/folder"
    match = f"^The tracking database {address} cannot be reached: the file cannot be opened; check the path and its"
    with pytest.raises(TrackingUnavailable, match=match), translate_errors(address):
        sqlalchemy.create_engine(address).connect()


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that gives the same answer to everything."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_proxy_that_answers_in_the_place_of_the_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(503, b"no way") as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        told = (
            rf"go through the proxy {proxy} \(http_proxy\), and it answers with errors; to reach it directly"
        )
        with pytest.raises(TrackingUnavailable, match=told):
            MlflowTracker("http://127.0.0.1:5000").check()
    with answering(403, b"forbidden") as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(TrackingRefused, match=rf"refuses this client.*go through the proxy {proxy}"):
            MlflowTracker("http://127.0.0.1:5000").check()


@pytest.mark.parametrize(
    ("status", "body", "error", "match"),
    [
        (200, b"<html>a shop</html>", TrackingRefused, "does not accept"),
        (404, b"<html>nothing</html>", TrackingRefused, "does not accept"),
        (401, b"who are you", TrackingRefused, "MLFLOW_TRACKING_USERNAME"),
        (403, b"Invalid Host header", TrackingRefused, "--allowed-hosts"),
        (403, b'{"error_code": "PERMISSION_DENIED"}', TrackingRefused, "refuses this client"),
        (500, b"oh", TrackingUnavailable, "it answers with errors; its own log"),
        (503, b"later", TrackingUnavailable, "it answers with errors; its own log"),
        (429, b"too many", TrackingUnavailable, "it answers with errors; its own log"),
        (400, b'{"error_code": "BAD_REQUEST", "message": "no"}', TrackingRefused, "does not accept this"),
    ],
)
def test_what_answers_but_does_not_serve_is_told_apart(
    status: int, body: bytes, error: type[Exception], match: str
) -> None:
    with answering(status, body) as address:
        assert seconds_until(error, MlflowTracker(address).check, match) < 1


def test_a_server_that_goes_away_and_comes_back_has_every_point_once(
    gate: Any, server_address: str, study: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker, spool = MlflowTracker(gate.address), Spool(tmp_path)
    run_id = tracker.open_run(RunInfo("trial 0", study, slot=0))
    sender = Sender(first_pause=0.05, longest_pause=0.2)
    rows = curve(600)
    checkpoint = tmp_path / "weights.bin"
    checkpoint.write_bytes(b"w" * 200_000)

    def measure(begin: int, end: int) -> float:
        """Write rows and submit their sending, as a trial does; returns the longest wait."""
        longest = 0.0
        for step in range(begin, end):
            started = time.monotonic()
            spool.append([rows[step]])
            sender.submit("curve", lambda: send_curve(spool, tracker, run_id, up_to_step=600))
            longest = max(longest, time.monotonic() - started)
        return longest

    measure(0, 200)
    gate.shut()
    waited = measure(200, 400)
    sender.submit("checkpoint", lambda: tracker.upload(run_id, {"checkpoints/1/weights.bin": checkpoint}))
    sender.submit("end", lambda: tracker.end_run(run_id, "finished"))
    assert not sender.drain(0.5)
    assert sender.unavailable_seconds() > 0
    gate.open()
    measure(400, 600)
    assert sender.close(20)
    assert "Not recorded" not in caplog.text
    assert waited < 0.2, "training must not feel that the server is away"
    assert points(server_address, run_id) == [(row.step, row.metrics["train/alpha"]) for row in rows]
    assert MlflowClient(server_address).get_run(run_id).info.status == "FINISHED"
    tracker.download(run_id, "checkpoints/1/weights.bin", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == checkpoint.read_bytes()


def test_connections_that_break_while_sending_double_nothing(
    gate: Any, server_address: str, study: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tracker, spool = MlflowTracker(gate.address), Spool(tmp_path)
    run_id = tracker.open_run(RunInfo("trial 0", study, slot=0))
    spool.append(curve(2_000))
    sender = Sender(first_pause=0.01, longest_pause=0.05)
    sender.submit("curve", lambda: send_curve(spool, tracker, run_id, up_to_step=2_000))
    for _ in range(8):
        time.sleep(0.05)
        gate.shut()
        gate.open()
    assert sender.close(30)
    assert "Not recorded" not in caplog.text
    assert points(server_address, run_id) == [(row.step, row.metrics["train/alpha"]) for row in curve(2_000)]


def test_what_a_killed_worker_did_not_send_is_sent_by_the_next_start(
    gate: Any, server_address: str, study: str, tmp_path: Path
) -> None:
    tracker = MlflowTracker(gate.address)
    run_id = tracker.open_run(RunInfo("trial 0", study, slot=0))
    first = Spool(tmp_path)
    first.append(curve(50))
    send_curve(first, tracker, run_id, up_to_step=19)
    gate.shut()
    with pytest.raises(TrackingUnavailable):
        send_curve(first, tracker, run_id, up_to_step=49)
    gate.open()
    assert send_curve(Spool(tmp_path), MlflowTracker(gate.address), run_id, up_to_step=49) == 30
    assert [step for step, _ in points(server_address, run_id)] == list(range(50))
