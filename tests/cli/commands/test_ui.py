"""ui: a real MLflow UI on the store of this folder, and nothing left of it afterwards."""

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from cli.main import main
from search.slots.studies import create_study
from search.storage.store import open_storage
from search.study import catalog
from search.study.request import StudyRequest

Run = Callable[..., str]
ROOT = Path(__file__).parents[3]


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


def test_the_dashboard_without_a_storage_says_what_makes_one(run: Run, tmp_path: Path) -> None:
    assert "`omad-search run` creates one" in run("ui", "--optuna", code=1)
    assert not list(tmp_path.iterdir())


def test_without_the_dashboard_its_extra_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    open_storage(f"sqlite:///{tmp_path}/omad.db", create=True).close()
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    said = run("ui", "--optuna", code=2)
    assert "pip install 'omad-search[dashboard]'" in said


def test_the_dashboard_serves_a_storage_with_a_password_and_shows_it_to_nobody(
    run: Run, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    spec = catalog.build(catalog.find("hopper"), StudyRequest(), has_gpu=False)
    with open_storage(database, create=True) as store:
        create_study(store, "hopper", 1, spec.to_json())
    answers: list[bytes] = []

    def one_visit(server: Any) -> None:
        visitor = threading.Thread(target=lambda: answers.append(visit(server.server_port)))
        visitor.start()
        server.handle_request()
        visitor.join(30)
        raise KeyboardInterrupt

    monkeypatch.setattr("socketserver.BaseServer.serve_forever", one_visit)
    said = run("ui", "--optuna", "--port", "5400", "--storage", database)
    assert re.match(r"http://127\.0\.0\.1:54\d\d/dashboard\n", said)
    assert b"hopper" in answers[0]
    assert "hush" not in said
    assert not any("hush" in word for word in psutil.Process().cmdline())


def visit(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=30) as answer:
        return bytes(answer.read())
