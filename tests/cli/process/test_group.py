"""Several workers of one command: supervised, stopped in order, given up with the cause."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cli.commands import worker
from cli.process import worker as one_worker
from cli.process.group import supervise
from cli.process.worker import WorkerOptions
from search.bench.large_study import fill
from search.checkpoints.workdir import open_workdir
from search.launch import supervisor
from search.launch.supervisor import Child, Supervisor
from search.slots import budget
from search.slots.studies import create_study
from search.storage.store import open_storage
from search.study import catalog
from search.study.request import StudyRequest

ROOT = Path(__file__).parents[3]


def test_a_worker_that_keeps_dying_is_given_up_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 0.01)
    dying = Child(0, [sys.executable, "-c", "raise SystemExit('no space left')"], {}, tmp_path / "0.log")
    well = Child(1, [sys.executable, "-c", "pass"], {}, tmp_path / "1.log")
    assert supervise(Supervisor([dying, well]), 5.0) == 1
    said = capsys.readouterr().err
    assert "worker 0 keeps dying" in said
    assert "no space left" in said
    assert (tmp_path / "0.log").read_text().count("no space left") == supervisor.CRASHES
    assert "worker 1 keeps" not in said


def test_a_worker_that_is_refused_is_not_started_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; sys.stderr.write('error: no such study\\n'); sys.exit(2)"
    refused = Child(0, [sys.executable, "-c", code], {}, tmp_path / "0.log")
    assert supervise(Supervisor([refused]), 5.0) == 1
    assert (tmp_path / "0.log").read_text() == "error: no such study\n"
    assert "error: no such study" in capsys.readouterr().err


def test_what_several_workers_say_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As those of a study that was deleted meanwhile."""
    code = "import sys; sys.stderr.write('error: the study was deleted\\n'); sys.exit(2)"
    children = [Child(n, [sys.executable, "-c", code], {}, tmp_path / f"{n}.log") for n in range(3)]
    assert supervise(Supervisor(children), 5.0) == 1
    said = capsys.readouterr().err
    assert said.count("error: the study was deleted") == 1
    assert "workers 0, 1, 2 have ended" in said


def test_a_worker_that_does_not_leave_is_killed_after_the_grace(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"
    deaf = Child(0, [sys.executable, "-c", code], {}, tmp_path / "0.log")
    workers = Supervisor([deaf])
    workers.look()
    while "up" not in deaf.last_words():
        time.sleep(0.02)
    workers.stop()
    assert not workers.wait(0.3)
    workers.kill()
    assert workers.wait(5.0)


@pytest.mark.parametrize("code", [0, 143])
def test_workers_that_a_signal_sends_away_end_with_the_code_that_was_asked_for(
    tmp_path: Path, code: int
) -> None:
    def work(words: str) -> int:
        return supervise(
            Supervisor([Child(0, [sys.executable, "-c", words], {}, tmp_path / "0.log")]), 5.0, code
        )

    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
    assert work("import time; time.sleep(60)") == code
    assert work("pass") == 0, "nothing was left to do"


def test_a_signal_that_comes_twice_at_once_is_one_signal_and_a_later_one_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Working:
        grace: list[float] = []  # noqa: RUF012 - one worker

        def stop(self, seconds: float) -> None:
            self.grace.append(seconds)

    left: list[int] = []
    monkeypatch.setattr(one_worker, "_leave_now", left.append)
    monkeypatch.setattr(one_worker, "ECHO_SECONDS", 0.3)
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = [signal.getsignal(number) for number in signals]
    try:
        one_worker._stop_when_told(Working(), 60.0)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (Working.grace, left) == ([60.0], [])
        time.sleep(0.4)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (Working.grace, left) == ([60.0], [128 + signal.SIGTERM])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def test_two_workers_share_a_study_and_hand_it_back_on_sigterm(tmp_path: Path, empty_mlflow: Path) -> None:
    shutil.copy(empty_mlflow, tmp_path)
    url = f"sqlite:///{tmp_path}/omad.db"
    train = {"env_steps": 1_500, "log_every_steps": 50, "evaluation.every_steps": 500}
    spec = catalog.build(
        catalog.find("hopper"),
        StudyRequest(profile="smoke", numbers={"trials": 4}, train=train, confirm=False),
        has_gpu=False,
    )
    environment = {
        **os.environ,
        "OMAD_STORAGE": url,
        "OMAD_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
    }
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path}/mlflow.db"
    command = [sys.executable, "-m", "cli.main", "worker", "hopper", "--workers", "2", "--devices", "cpu"]
    said = tmp_path / "said"
    with open_storage(url, create=True) as store:
        handle = create_study(store, "hopper", 4, spec.to_json(), [spec.defaults()])
        with said.open("w") as stderr:
            team = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=stderr)
        try:
            end = time.monotonic() + 120
            while sum(row.progress.get("step", 0) > 0 for row in budget.rows(store, handle.study_id)) < 2:
                assert team.poll() is None, said.read_text()
                assert time.monotonic() < end
                time.sleep(0.1)
            team.send_signal(signal.SIGTERM)
            team.wait(60)
        finally:
            team.kill()
            team.wait()
        assert team.returncode == 0, said.read_text()
        rows = budget.rows(store, handle.study_id)
    begun = [row for row in rows if row.trial_id is not None]
    assert len(begun) >= 2
    assert all(row.state in ("open", "done") for row in rows), "no lease is left"
    assert all(row.checkpoints or row.outcome for row in begun), "what was trained is kept"
    assert "worker-1.log" in said.read_text()


def test_workers_that_ended_a_study_say_who_makes_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.process.group.supervise", lambda *_: 0)
    spec = catalog.build(
        catalog.find("hopper"),
        StudyRequest(profile="smoke", numbers={"trials": 3}, confirm=False),
        has_gpu=False,
    )
    told = []
    for ended in (2, 3):
        url = f"sqlite:///{tmp_path}/{ended}.db"
        with open_storage(url, create=True) as store:
            fill(store, create_study(store, "hopper", 3, spec.to_json()), ended)
        places = (url, f"sqlite:///{tmp_path}/mlflow.db", open_workdir(str(tmp_path)))
        assert (
            worker._run_group(
                "hopper", *places, WorkerOptions("cpu", 1, 1, 5.0, 5.0, 0), StudyRequest(), 1, "cpu"
            )
            == 0
        )
        told.append("`omad-search run --study hopper` makes its report" in capfd.readouterr().err)
    assert told == [False, True]
