"""omad-search ui: the MLflow UI on the right store."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Annotated

import typer

from cli import looking
from cli.console import say
from cli.options import Tracking

START_SECONDS = 60.0
STOP_SECONDS = 10.0
PORTS_TRIED = 20
VIEW = "#/experiments?workflowType=machine_learning"
"""The UI's view for training; without it, it begins with the one for language models."""


def ui(
    tracking: Tracking = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="First port to try.")] = 5_000,
) -> None:
    """Start the MLflow UI and print its address; Ctrl-C ends it."""
    from tracking import mlflow_address

    address = mlflow_address.resolve(tracking)
    if mlflow_address.is_web(address):
        say(f"This study is recorded on a server: {looking.shown(address)}")
        return
    _check_file(mlflow_address.sqlite_path(address), tracking)
    chosen = _free_port(port)
    say(f"starting the MLflow UI on {looking.shown(address)}", stderr=True)
    with tempfile.TemporaryFile() as log:
        server = _start(address, chosen, log)
        try:
            _wait_until_it_answers(server, chosen, log)
            say(f"http://127.0.0.1:{chosen}/{VIEW}")
            say("Ctrl-C ends it", stderr=True)
            server.wait()
        except KeyboardInterrupt:
            pass
        finally:
            end(server)


def _check_file(path: Path | None, tracking: str | None) -> None:
    from tracking.errors import TrackingRefused

    if path is not None and not path.exists():
        where = "--tracking" if tracking else "the folder in which `omad-search run` was typed, or --tracking"
        raise TrackingRefused(f"there is nothing to show: {path} does not exist; check {where}")


def _free_port(first: int) -> int:
    """The first port from here on which nobody listens."""
    from tracking.errors import TrackingRefused

    for port in range(first, min(first + PORTS_TRIED, 65_536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise TrackingRefused(f"the ports from {first} on are taken; choose another with --port")


def _start(address: str, port: int, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """The address travels in the environment: it may hold a password, which `ps` would show."""
    environment = {
        "MLFLOW_BACKEND_STORE_URI": address,
        "MLFLOW_TRACKING_URI": "",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "ui",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    return subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def answers(server: "subprocess.Popen[bytes]", host: str, port: int) -> bool:
    """Wait until it answers; False where it has ended or takes too long."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(f"http://{host}:{port}/health", timeout=2).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return True
    return False


def _wait_until_it_answers(server: "subprocess.Popen[bytes]", port: int, log: IO[bytes]) -> None:
    from tracking.errors import TrackingUnavailable

    if answers(server, "127.0.0.1", port):
        return
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    raise TrackingUnavailable(f"the MLflow UI did not start: {lines[-1] if lines else 'it says nothing'}")


def end(server: "subprocess.Popen[bytes]") -> None:
    """End the server and the processes that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
        except ProcessLookupError:
            return
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
