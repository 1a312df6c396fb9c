"""server: a tracking server in a schema of its own, reached by name, with its password out of sight."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import sqlalchemy

from cli.commands.server import _names
from cli.main import main
from search.storage.tracking_database import prepare
from search.storage.urls import parse
from tracking.mlflow.tracker import MlflowTracker
from tracking.tracker import RunInfo

ROOT = Path(__file__).parents[3]
SECRET = "hush-7831"
"""The password in the address that `database` gives."""


def test_a_server_keeps_runs_and_artifacts_in_its_own_schema(database: str, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in ("flask", "uvicorn", "mlflow"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a module of the user's own')")
    command = [
        sys.executable,
        "-P",
        "-m",
        "omad_search",
        "server",
        "--artifacts",
        str(tmp_path / "artifacts"),
    ]
    command += ["--port", str(port), "--host", "127.0.0.1"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "OMAD_STORAGE": database, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address == f"http://127.0.0.1:{port}", (tmp_path / "log").read_text()
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        assert not [one for one in family if SECRET in " ".join(one.cmdline())]
        tracker = MlflowTracker(address)
        tracker.check()
        run = tracker.open_run(RunInfo("hopper", "hopper"))
        (tmp_path / "file").write_text("kept")
        tracker.upload(run, {"file.txt": tmp_path / "file"})
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert [path.read_text() for path in (tmp_path / "artifacts").rglob("file.txt")] == ["kept"]
    engine = sqlalchemy.create_engine(parse(database), poolclass=sqlalchemy.NullPool)
    tables = sqlalchemy.inspect(engine)
    assert tables.has_table("runs", schema="mlflow")
    assert not tables.has_table("runs", schema="public"), "Optuna's place is left alone"
    assert SECRET not in (tmp_path / "log").read_text()


def test_a_port_at_which_another_listens_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SystemExit) as left:
            main(["server", "--artifacts", "artifacts", "--port", str(port)])
    assert left.value.code == 1
    assert f"port {port} is taken; choose another with --port" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_sqlite_storage_gets_a_file_beside_the_artifacts(tmp_path: Path) -> None:
    assert prepare("sqlite:///omad.db", tmp_path / "a") == f"sqlite:///{tmp_path}/a/mlflow.db"


def test_it_answers_to_this_machines_names_and_those_given() -> None:
    names = _names("0.0.0.0", 5000, "track, tracker.example.org")
    assert {"track", "tracker.example.org:5000", socket.gethostname(), "localhost:5000"} <= set(names)
    assert "0.0.0.0" not in names
