"""omad-search ui: the MLflow UI on the right store, or optuna-dashboard on the right storage."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_STORAGE, Storage, Tracking
from cli.setup import lookup
from cli.show.console import say

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from search.storage.store import Store

START_SECONDS = 180.0
"""On a busy machine MLflow's imports take a minute and more; one that has ended is seen at once."""
STOP_SECONDS = 10.0
PORTS_TRIED = 20
LOCAL = "127.0.0.1"
OWN_MODULES = {"PYTHONSAFEPATH": "1", "UVICORN_APP_DIR": sys.prefix}
"""For MLflow and what it starts: no module of the user's own in the working folder stands in for one of theirs."""
VIEW = "#/experiments?workflowType=machine_learning"
"""The UI's view for training; without it, it begins with the one for language models."""


def ui(
    tracking: Tracking = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="First port to try.")] = 5_000,
    optuna: Annotated[
        bool, typer.Option("--optuna", help="optuna-dashboard on --storage, in place of the MLflow UI.")
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Start the MLflow UI, or optuna-dashboard, and print its address; Ctrl-C ends it."""
    if optuna:
        _show_dashboard(storage, port)
    else:
        _show_mlflow(tracking, port)


def _show_mlflow(tracking: str | None, port: int) -> None:
    from tracking.mlflow import address as mlflow_address

    address = mlflow_address.resolve(tracking)
    if mlflow_address.is_web(address):
        say(f"This study is recorded on a server: {lookup.redact_tracking(address)}")
        return
    _check_file(mlflow_address.sqlite_path(address), tracking)
    chosen = _free_port(port)
    say(f"starting the MLflow UI on {lookup.redact_tracking(address)}", stderr=True)
    with tempfile.TemporaryFile() as log:
        server = _start(address, chosen, log)
        try:
            _wait_until_it_answers(server, chosen, log)
            say(f"http://{LOCAL}:{chosen}/{VIEW}")
            say("Ctrl-C ends it", stderr=True)
            server.wait()
        except KeyboardInterrupt:
            pass
        finally:
            end(server)


def _show_dashboard(storage: str, port: int) -> None:
    """In this process: the storage's password is in no command line, environment or file."""
    from search.storage.store import look_into

    with look_into(storage) as store:
        server = dashboard(store, _free_port(port))
        say(f"starting optuna-dashboard on {store.address}", stderr=True)
        say(f"http://{LOCAL}:{server.server_port}/dashboard")
        say("Ctrl-C ends it", stderr=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            server.server_close()


def dashboard(store: "Store", port: int) -> "WSGIServer":
    """optuna-dashboard on a storage: a server of this machine alone, not serving yet. Raises ConfigError."""
    import socketserver
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    from omad_core.errors import ConfigError

    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise ConfigError(
            f"optuna-dashboard cannot be imported ({error}); install it with: pip install 'omad-search[dashboard]'"
        ) from None

    class LocalServer(socketserver.ThreadingMixIn, WSGIServer):
        daemon_threads = True

    class Handler(WSGIRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Says nothing of requests."""

    return make_server(LOCAL, port, wsgi(store.optuna), server_class=LocalServer, handler_class=Handler)


def _check_file(path: Path | None, tracking: str | None) -> None:
    from tracking.errors import TrackingRefused

    if path is not None and not path.exists():
        where = "--tracking" if tracking else "the folder in which `omad-search run` was typed, or --tracking"
        raise TrackingRefused(f"there is nothing to show: {path} does not exist; check {where}")


def _free_port(first: int) -> int:
    """The first free port from this number on."""
    from tracking.errors import TrackingRefused

    for port in range(first, min(first + PORTS_TRIED, 65_536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOCAL, port))
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
        **OWN_MODULES,
    }
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "ui",
        "--host",
        LOCAL,
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
    import urllib.error
    import urllib.request  # a fifth of what `--help` takes

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

    if answers(server, LOCAL, port):
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
