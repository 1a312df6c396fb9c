"""omad-search server: an MLflow tracking server beside the studies, in a schema or file of its own."""

import errno
import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.options import DEFAULT_STORAGE, Storage
from cli.show.console import say

LOCAL, ALL = "127.0.0.1", "0.0.0.0"


def server(
    artifacts: Annotated[
        Path, typer.Option("--artifacts", metavar="DIR", help="Folder for models and checkpoints.")
    ],
    storage: Storage = DEFAULT_STORAGE,
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="Where it listens.")] = 5_000,
    host: Annotated[
        str, typer.Option("--host", help="Network address it listens on; 0.0.0.0 is all of this machine's.")
    ] = ALL,
    allowed_hosts: Annotated[
        str | None,
        typer.Option(
            "--allowed-hosts",
            metavar="NAMES",
            help="Host names clients may call it by, with commas, beside this machine's own.",
        ),
    ] = None,
) -> None:
    """Start an MLflow tracking server for studies on several machines; Ctrl-C ends it."""
    from cli.commands import ui
    from search.storage.tracking_database import prepare
    from tracking.errors import TrackingUnavailable

    _refuse_taken(host, port)
    database = prepare(storage, artifacts)
    everywhere = host == ALL
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    names = _names(host, port, allowed_hosts)
    # What MLflow says goes to stderr: stdout has the address, for scripts.
    process = subprocess.Popen(
        command(artifacts, host, port),
        env=environment(database, names),
        stdout=sys.stderr.fileno(),
        start_new_session=True,
    )
    try:
        if not ui.answers(process, LOCAL if everywhere else host, port):
            raise TrackingUnavailable("the MLflow server did not start; what it says is above")
        say(f"http://{socket.gethostname() if everywhere else host}:{port}")
        say("give this address to --tracking on every machine; Ctrl-C ends the server", stderr=True)
        raise typer.Exit(process.wait())
    except KeyboardInterrupt:
        pass
    finally:
        ui.end(process)


def _refuse_taken(host: str, port: int) -> None:
    """Whoever listens there would answer in place of the new server, which could not begin."""
    from tracking.errors import TrackingRefused

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise TrackingRefused(f"port {port} is taken; choose another with --port") from None


def _names(host: str, port: int, more: str | None) -> list[str]:
    """What clients may call this machine; MLflow answers 403 to all other names."""
    names = {"localhost", LOCAL, host, socket.gethostname(), socket.getfqdn(), *_addresses()}
    names |= {name.strip() for name in (more or "").split(",") if name.strip()}
    names |= {"10.*", "192.168.*", *(f"172.{n}.*" for n in range(16, 32))}
    names.discard(ALL)
    return sorted(names | {f"{name}:{port}" for name in names if name != "*"})


def _addresses() -> set[str]:
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    except OSError:
        return set()


def command(artifacts: Path, host: str, port: int) -> list[str]:
    """The server's command line: everybody may read it, so it holds no address of a database."""
    argv = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
    return [*argv, "--serve-artifacts", "--artifacts-destination", str(artifacts.resolve())]


def environment(database: str, names: list[str]) -> dict[str, str]:
    """Variables for the server's process alone: its addresses may hold passwords."""
    from cli.commands import ui

    ours = {
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(names),
        "MLFLOW_TRACKING_URI": "",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": os.environ.get("MLFLOW_FLASK_SERVER_SECRET_KEY")
        or secrets.token_hex(16),
    }
    return {**os.environ, **ours, **ui.OWN_MODULES}
