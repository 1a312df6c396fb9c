"""The tracking server's database: a schema, a database or a file of its own beside the studies."""

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import URL

from search.errors import StorageRefused
from search.storage.engines import build_engine
from search.storage.faults import guarded
from search.storage.urls import MYSQL, POSTGRESQL, backend, parse, redact_url, require_driver

SCHEMA = "mlflow"


def prepare(storage: str, artifacts: Path) -> str:
    """The database's URL, with its password, for MLflow; schema and folders are created where they are missing.

    Raises StorageRefused, StorageUnavailable.
    """
    url = parse(storage)
    require_driver(url)
    _make_folder(artifacts)
    kind = backend(url)
    if kind is POSTGRESQL:
        _create(url, f'CREATE SCHEMA IF NOT EXISTS "{SCHEMA}"')
        database = url.update_query_dict({"options": f"-csearch_path={SCHEMA}"})
    elif kind is MYSQL:
        _create(url, f"CREATE DATABASE IF NOT EXISTS `{url.database}_{SCHEMA}`")
        database = url.set(database=f"{url.database}_{SCHEMA}")
    else:
        database = url.set(database=str(artifacts.resolve() / "mlflow.db"))
    return database.render_as_string(hide_password=False)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageRefused(
            f"--artifacts {folder} cannot be created ({error.strerror}); check the path"
        ) from None


def _create(url: URL, statement: str) -> None:
    engine = build_engine(url)
    try:
        with guarded(url), engine.begin() as connection:
            connection.execute(text(statement))
    except StorageRefused as error:
        raise StorageRefused(
            f"{error}. The tracking server needs {statement.partition(' IF')[0].lower()} {SCHEMA!r} on "
            f"{redact_url(url)}: have an administrator create it"
        ) from None
    finally:
        engine.dispose()
