"""ui: a real MLflow UI on the store of this folder, and nothing left of it afterwards."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_ui_shows_the_store_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").create_experiment("hopper")
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    environment["PYTHONPATH"] = str(ROOT)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "ui", "--port", "5300"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip().partition("/#")[0]
    servers = psutil.Process(process.pid).children(recursive=True)
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/experiments/search",
        data=b'{"max_results": 10}',
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert b"hopper" in answer.read()
    assert not any("sqlite:" in word for server in servers for word in server.cmdline())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert servers
    assert not psutil.wait_procs(servers, timeout=10)[1]


def test_without_a_store_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(SystemExit) as left:
        main(["ui"])
    assert left.value.code == 1
    assert "mlflow.db does not exist" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_tracking_server_is_only_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["ui", "--tracking", "http://me:secret@track:5000"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert "track:5000" in said
    assert "secret" not in said
