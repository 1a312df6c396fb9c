"""Opening storages: what is made, and what is refused with which sentence."""

import os
import re
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.storages._rdb.models import VersionInfoModel

from search.errors import AddressRefused, SearchError, StorageRefused, StorageUnavailable
from search.history import attempts, evaluations
from search.storage.dbclock import now
from search.storage.faults import translate
from search.storage.store import Store, look_into, open_storage
from search.storage.tables import SCHEMA_VERSION, AttemptRow, EvaluationRow, Schema
from search.storage.urls import parse, redact_url


def test_a_created_storage_is_opened_again_and_is_a_plain_optuna_storage(url: str) -> None:
    open_storage(url, create=True).close()
    with open_storage(url) as store, store.read() as connection:
        assert connection.scalar(sqlalchemy.select(Schema.version)) == SCHEMA_VERSION
    if url.startswith("sqlite"):
        storage = optuna.storages.RDBStorage(url)
        assert storage.get_all_studies() == []
        storage.engine.dispose()


def test_the_database_clock_is_read_in_seconds_and_not_from_python(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time()
    monkeypatch.setattr(time, "time", lambda: real + 600)
    with store.read() as connection:
        assert connection.scalar(sqlalchemy.select(now())) == pytest.approx(real, abs=60)


def test_a_reader_on_sqlite_does_not_wait_for_a_writer(new_url: Callable[[str], str]) -> None:
    with open_storage(new_url("sqlite"), create=True) as store, store.write() as writer:
        writer.execute(sqlalchemy.update(Schema).values(version=7))
        with store.read() as reader:
            assert reader.scalar(sqlalchemy.select(Schema.version)) == SCHEMA_VERSION
        writer.execute(sqlalchemy.update(Schema).values(version=SCHEMA_VERSION))


def test_an_existing_optuna_database_is_taken_over_with_its_studies(new_url: Callable[[str], str]) -> None:
    url = new_url("sqlite")
    plain = optuna.storages.RDBStorage(url)
    optuna.create_study(storage=plain, study_name="theirs")
    plain.engine.dispose()
    with open_storage(url, create=True) as store:
        assert [study.study_name for study in store.optuna.get_all_studies()] == ["theirs"]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("omad.db", "is not a URL; it should look like sqlite:///omad.db"),
        ("oracle://user:secret@host/db", "'oracle' is not supported"),
        ("sqlite://", "lives in the memory of one process"),
        ("sqlite:///{tmp}/missing/omad.db", "there is no folder {tmp}/missing"),
        ("sqlite:///{tmp}", "is a folder"),
        ("sqlite:///file:omad.db?mode=ro&uri=true", "file: form is not supported"),
    ],
)
def test_urls_that_name_no_storage_are_refused_with_what_to_do(
    url: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(StorageRefused) as raised:
        open_storage(url.format(tmp=tmp_path), create=True)
    assert sentence.format(tmp=tmp_path) in str(raised.value)
    assert "secret" not in str(raised.value)


def test_joining_needs_a_storage_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(StorageRefused, match="no such file; `omad-search run` creates one"):
        open_storage(f"sqlite:///{tmp_path}/omad.db")
    assert list(tmp_path.iterdir()) == []


def test_joining_an_empty_database_is_refused(new_url: Callable[[str], str]) -> None:
    with pytest.raises(StorageRefused, match="holds no study of omad-search"):
        open_storage(new_url("postgresql"))


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("Dear diary, " * 100)
    with pytest.raises(StorageRefused, match="is not an SQLite database"):
        open_storage(f"sqlite:///{path}", create=True)
    assert path.read_text() == "Dear diary, " * 100


def test_a_database_that_cannot_be_written_is_named(
    new_url: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_url("sqlite")
    with open_storage(url, create=True) as store:
        sqlalchemy.event.listen(
            store.engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only=1")
        )
        store.engine.dispose()
        with pytest.raises(StorageRefused, match="the file cannot be written"), store.write() as connection:
            connection.execute(sqlalchemy.update(Schema).values(version=7))


def test_a_locked_database_is_unavailable_not_refused(new_url: Callable[[str], str]) -> None:
    url = new_url("sqlite")
    with open_storage(url, create=True) as store:
        other = sqlite3.connect(str(store.url.database))
        other.execute("BEGIN IMMEDIATE")
        sqlalchemy.event.listen(
            store.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=50")
        )
        store.engine.dispose()
        with pytest.raises(StorageUnavailable, match="another process holds the file"), store.write():
            pass
        other.close()


def test_an_unreachable_server_is_known_within_seconds_and_hides_the_password() -> None:
    began = time.monotonic()
    with pytest.raises(StorageUnavailable) as raised:
        open_storage("postgresql://tuner:hunter2@127.0.0.1:9/omad", create=True)
    assert time.monotonic() - began < 8
    assert str(raised.value) == (
        "storage postgresql://tuner:***@127.0.0.1:9/omad: nothing listens at 127.0.0.1, port 9; start the database "
        "server, or correct the address"
    )


def test_a_wrong_password_is_said_and_never_shown(new_url: Callable[[str], str]) -> None:
    url = sqlalchemy.make_url(new_url("mariadb")).set(password="hunter2").render_as_string(False)
    with pytest.raises(StorageUnavailable) as raised:
        open_storage(url, create=True)
    assert re.search(r"the server at the socket \S+ refuses the login of user 'root'", str(raised.value))
    assert "check user and password (URL, OMAD_STORAGE)" in str(raised.value)
    assert "hunter2" not in str(raised.value) + repr(raised.value)


@pytest.mark.parametrize("kind", ["postgresql", pytest.param("mariadb", marks=pytest.mark.slow)])
def test_a_database_that_does_not_exist_is_named(kind: str, new_url: Callable[[str], str]) -> None:
    url = sqlalchemy.make_url(new_url(kind)).set(database="nowhere").render_as_string(False)
    with pytest.raises(
        StorageUnavailable, match=r"has no database 'nowhere'; create it, or correct its name$"
    ):
        open_storage(url, create=True)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", pytest.param("mariadb", marks=pytest.mark.slow)])
def test_who_waits_for_another_to_create_waits_longer_than_a_server_may_be_silent(
    kind: str, new_url: Callable[[str], str]
) -> None:
    url = sqlalchemy.make_url(new_url(kind))
    impatient = url.update_query_dict({"read_timeout": "2"}) if kind == "mariadb" else url
    held, released = threading.Event(), threading.Event()
    with open_storage(url.render_as_string(False), create=True) as holder:

        def hold() -> None:
            with holder.creation_lock():
                held.set()
                time.sleep(3 if kind == "mariadb" else 0.2)
                released.set()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(60)
        with open_storage(impatient.render_as_string(False)) as waiting, waiting.creation_lock():
            assert released.is_set()
        thread.join()


def test_a_user_whom_the_server_does_not_know_is_named(new_url: Callable[[str], str]) -> None:
    url = sqlalchemy.make_url(new_url("postgresql")).set(username="nobody").render_as_string(False)
    with pytest.raises(
        StorageUnavailable, match="refuses the login of user 'nobody'; check user and password"
    ):
        open_storage(url, create=True)


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_host_that_nobody_knows_is_named(scheme: str) -> None:
    with pytest.raises(StorageUnavailable) as raised:
        open_storage(f"{scheme}://tuner:hunter2@no-such-host.invalid/omad", create=True)
    assert str(raised.value) == (
        f"storage {scheme}://tuner:***@no-such-host.invalid/omad: no host 'no-such-host.invalid' is known here; "
        "correct the address"
    )


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        (
            'connection failed: FATAL:  password authentication failed for user "tuner"',
            "the server at db, port 5432 refuses the login of user 'tuner'; check user and password",
        ),
        ("fe_sendauth: no password supplied", "refuses the login of user 'tuner'"),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.7", user "tuner", database "omad"',
            "does not admit user 'tuner' to the database 'omad' from here",
        ),
        ("connection timeout expired", "db, port 5432 does not answer; check the address, the network"),
        ("FATAL:  sorry, too many clients already", "has no connection left; try again"),
        ("FATAL:  the database system is starting up", "wait until it runs again"),
        (
            "canceling statement due to lock timeout",
            "others at db, port 5432 hold what this write needs; try again",
        ),
        ("Deadlock found when trying to get lock; try restarting", "hold what this write needs; try again"),
        ("something else: hunter2", "something else: ***; check the address"),
    ],
)
def test_what_a_server_says_of_a_login_is_told_in_plain_words(said: str, meaning: str) -> None:
    url = sqlalchemy.make_url("postgresql+psycopg://tuner:hunter2@db/omad")
    told = translate(sqlalchemy.exc.OperationalError("SELECT", None, Exception(said)), url)
    assert isinstance(told, StorageUnavailable)
    assert meaning in str(told)
    assert "psycopg" not in str(told)
    assert "hunter2" not in str(told)


@pytest.mark.parametrize(
    ("url", "module", "line"),
    [
        ("postgresql://u:secret@host/db", "psycopg", "pip install 'omad-search[postgres]'"),
        ("mysql://u:secret@host/db", "pymysql", "pip install 'omad-search[mysql]'"),
    ],
)
def test_a_missing_driver_is_named_with_the_line_that_installs_it(
    url: str, module: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StorageRefused) as raised:
        open_storage(url)
    assert line in str(raised.value)
    assert "secret" not in str(raised.value)


def test_mlflows_tables_in_the_same_schema_are_refused(new_url: Callable[[str], str]) -> None:
    url = new_url("sqlite")
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        for table in ("experiments", "runs", "experiment_tags", "alembic_version"):
            connection.execute(sqlalchemy.text(f"CREATE TABLE {table} (id INTEGER)"))
    engine.dispose()
    with pytest.raises(StorageRefused, match="holds MLflow's tables"):
        open_storage(url, create=True)


def test_postgresql_schemas_separate_storages_of_one_database(new_url: Callable[[str], str]) -> None:
    url = new_url("postgresql")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE experiments (id INTEGER)"))
        connection.execute(sqlalchemy.text("CREATE SCHEMA optuna"))
    mark = "&" if "?" in url else "?"
    open_storage(f"{url}{mark}options=-csearch_path%3Doptuna", create=True).close()
    inspector = sqlalchemy.inspect(engine)
    assert inspector.get_table_names(schema="public") == ["experiments"]
    assert {"omad_slot", "trials"} <= set(inspector.get_table_names(schema="optuna"))


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        (SCHEMA_VERSION + 1, f"a newer omad-search .schema {SCHEMA_VERSION + 1}; .*upgrade omad-search here"),
        (1, "an older omad-search"),
    ],
)
def test_storages_of_other_releases_are_refused_by_version(
    version: int, sentence: str, new_url: Callable[[str], str]
) -> None:
    url = new_url("sqlite")
    with open_storage(url, create=True) as store, store.write() as connection:
        connection.execute(sqlalchemy.update(Schema).values(version=version))
    with pytest.raises(StorageRefused, match=sentence):
        open_storage(url)


def made_by_schema_2(url: str) -> None:
    """What an earlier release made: no tables of attempts and evaluations."""
    with open_storage(url, create=True) as store, store.write() as connection:
        connection.execute(sqlalchemy.update(Schema).values(version=2))
        for table in (AttemptRow, EvaluationRow):
            connection.execute(sqlalchemy.schema.DropTable(table.__table__))


def test_an_earlier_releases_storage_gets_the_tables_it_lacks(url: str) -> None:
    made_by_schema_2(url)
    with open_storage(url) as store, store.read() as connection:
        assert connection.scalar(sqlalchemy.select(Schema.version)) == SCHEMA_VERSION
        assert connection.execute(sqlalchemy.select(AttemptRow)).all() == []
    open_storage(url).close()


def test_who_only_looks_leaves_an_earlier_releases_storage_as_it_is(new_url: Callable[[str], str]) -> None:
    url = new_url("sqlite")
    made_by_schema_2(url)
    with look_into(url) as store:
        assert attempts.read(store, 1) == []
        assert evaluations.read(store, 1) == []
        with store.read() as connection:
            assert connection.scalar(sqlalchemy.select(Schema.version)) == 2


def test_optunas_tables_of_another_version_are_refused(new_url: Callable[[str], str]) -> None:
    url = new_url("sqlite")
    with open_storage(url, create=True) as store, store.write() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = 'v9.9.9'"))
    with pytest.raises(StorageRefused, match="optuna"):
        open_storage(url)


def say_of_optuna(url: str, release: str, revision: str | None = None) -> None:
    """Have a storage's tables made by another release, and of another revision."""
    with open_storage(url, create=True) as store, store.write() as connection:
        connection.execute(sqlalchemy.update(VersionInfoModel).values(library_version=release))
        if revision:
            connection.execute(sqlalchemy.text(f"UPDATE alembic_version SET version_num = '{revision}'"))


def test_who_only_looks_opens_no_storage_of_optunas_until_it_is_asked_for(
    new_url: Callable[[str], str],
) -> None:
    url = new_url("sqlite")
    say_of_optuna(url, optuna.__version__)
    with look_into(url) as store:
        assert not store.whole
        with ThreadPoolExecutor(4) as threads:
            opened = {id(storage) for storage in threads.map(lambda _: store.optuna, range(4))}
        assert (len(opened), store.whole) == (1, True)
        assert store.optuna.get_all_studies() == []


def test_who_only_looks_is_told_as_well_of_tables_that_another_optuna_made(
    new_url: Callable[[str], str],
) -> None:
    fitting, foreign = new_url("sqlite"), new_url("sqlite")
    say_of_optuna(fitting, "4.0.0")
    look_into(fitting).close()
    say_of_optuna(foreign, "9.9.9", "v9.9.9")
    with pytest.raises(StorageRefused, match=r"set up by optuna 9\.9\.9"):
        look_into(foreign)


def test_creation_that_was_interrupted_is_completed_by_the_next(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("search.storage.store.Base.metadata.create_all", interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_storage(url, create=True)
    with pytest.raises(SearchError, match="holds no study"):
        open_storage(url)
    open_storage(url, create=True).close()
    open_storage(url).close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p%40ss@h:5432/d", "postgresql://u:***@h:5432/d"),
        (
            "postgresql://u@h/d?password=secret&sslmode=require",
            "postgresql://u@h/d?password=***&sslmode=require",
        ),
        ("postgresql://u:se/cr@et@h:port/d", "postgresql://u:***@h:port/d"),
        ("sqlite:///omad.db", "sqlite:///omad.db"),
        ("postgresql+psycopg://u:p@h/d", "postgresql://u:***@h/d"),
    ],
)
def test_shown_urls_have_no_password(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    "url", ["postgresql://u:p@ss@h/d", "mysql://u:p@ss@h:3306/d", "postgresql://u:p@s/s@h:port/d"]
)
def test_a_password_that_is_not_encoded_is_refused_with_how_to_write_it(url: str) -> None:
    with pytest.raises(AddressRefused, match=r"write @ as %40") as caught:
        open_storage(url)
    assert "ss" not in str(caught.value).replace("password", "")
    assert "ss@h" not in redact_url(url)


@pytest.mark.parametrize("url", ["omad.db", "oracle://u@h/d", "sqlite://", "sqlite:///file:x.db", ""])
def test_an_address_that_can_name_no_storage_is_refused_as_such(url: str) -> None:
    with pytest.raises(AddressRefused):
        open_storage(url, create=True)


def test_blanks_and_newlines_around_an_address_do_not_count(tmp_path: Path) -> None:
    open_storage(f"sqlite:///{tmp_path}/omad.db\r\n", create=True).close()
    with open_storage(f" sqlite:///{tmp_path}/omad.db\n") as store:
        assert store.address == f"sqlite:///{tmp_path}/omad.db"
    assert not [path.name for path in tmp_path.iterdir() if path.name != path.name.strip()]


@pytest.mark.parametrize("table", ["studies", "trials", "omad_slot"])
def test_tables_of_another_program_are_named_and_left_alone(table: str, url: str) -> None:
    engine = sqlalchemy.create_engine(parse(url), poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"CREATE TABLE {table} (id INTEGER, author VARCHAR(9))"))
    for create in (True, False):
        with pytest.raises(StorageRefused, match=f"holds tables of another program: {table}"):
            open_storage(url, create=create)
    assert sqlalchemy.inspect(engine).get_table_names() == [table]


def test_passwords_with_braces_and_percents_reach_the_server(new_url: Callable[[str], str]) -> None:
    server = new_url("mariadb")
    engine = sqlalchemy.create_engine(server, poolclass=sqlalchemy.NullPool)
    password = "{x}%7B@:/ "
    with engine.begin() as connection:
        user = f"tuner{os.getpid()}"
        connection.execute(
            sqlalchemy.text(f"CREATE USER {user}@localhost IDENTIFIED BY '{password}'".replace(":", "\\:"))
        )
        connection.execute(sqlalchemy.text(f"GRANT ALL ON *.* TO {user}@localhost"))
    url = sqlalchemy.make_url(server).set(username=user, password=password)
    with open_storage(url.render_as_string(hide_password=False), create=True) as store:
        assert password not in store.address
        assert password not in repr(store)
