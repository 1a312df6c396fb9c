"""Workers of a comparison: they take up whichever study has a free trial, until all have ended, and nothing twice."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_tracker import FakeTracker

from search.checkpoints.workdir import Workdir
from search.comparison import view
from search.comparison.members import comparison_of, members
from search.comparison.work import work_left
from search.confirmation.candidates import key_of
from search.confirmation.pair import pair
from search.slots import budget
from search.slots.lease import SlotRow
from search.slots.studies import StudyHandle, optuna_study
from search.steering import commands
from search.storage.store import Store, open_storage
from search.study.confirmation import CONFIGURATION, Confirm
from search.worker.comparison_worker import ComparisonWorker
from search.worker.context import WorkerLocation

Begun = Callable[..., tuple[str, list[StudyHandle]]]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(new_url: Callable[[str], str]) -> Iterator[Store]:
    with open_storage(new_url("sqlite"), create=True) as opened:
        yield opened


def worker(store: Store, name: str, folder: Path) -> ComparisonWorker:
    return ComparisonWorker(store, name, FakeTracker(), WorkerLocation(Workdir(folder)))


def rows(store: Store, name: str) -> dict[tuple[str, int], SlotRow]:
    """Every slot of every study of a comparison, confirmations included."""
    studies = [study for search in members(store, name) for study in pair(store, search)]
    return {(study.name, row.number): row for study in studies for row in budget.rows(store, study.study_id)}


def ended(store: Store, name: str) -> dict[tuple[str, int], float | None]:
    return {key: row.value for key, row in rows(store, name).items() if row.outcome is not None}


def stop_when(working: ComparisonWorker, condition: Callable[[], object]) -> threading.Thread:
    def wait() -> None:
        end = time.monotonic() + 120
        while not condition() and time.monotonic() < end:
            time.sleep(0.02)
        working.stop()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_one_that_left_and_one_that_comes_bring_it_to_its_end_and_train_nothing_twice(
    store: Store, begun: Begun, tmp_path: Path
) -> None:
    name, studies = begun(store)
    first = worker(store, name, tmp_path)
    watching = stop_when(first, lambda: ended(store, name))
    first.run()
    watching.join()
    before = ended(store, name)
    assert 1 <= len(before) < 12
    worker(store, name, tmp_path).run()
    after = ended(store, name)
    assert {key: after[key] for key in before} == before
    _check_exact(store, name)
    assert work_left(store, studies).nothing
    seen = view.read(store, members(store, name))
    assert seen.ended
    assert [each.name for each in seen.algorithms] == ["omad", "gaussian"]
    for each in seen.algorithms:
        assert each.tuned is not None
        assert each.tuned.updates == 30
        assert (each.tuned.processor_seconds or 0.0) > 0.0
    assert not work_left(store, studies, Confirm(1, 3)).nothing, "one more seed of each is wished for"
    for search in studies:
        confirmation = pair(store, search)[1]
        assert budget.counts(store, confirmation.study_id).total in (3, 6)


def _check_exact(store: Store, name: str, seeds: int = 2) -> None:
    """Every slot complete; each confirmation has every configuration once."""
    found = rows(store, name)
    assert {row.outcome for row in found.values()} == {"complete"}
    assert all(row.published for row in found.values())
    for search in members(store, name):
        own, confirmation = pair(store, search)
        assert comparison_of(confirmation) == comparison_of(own)
        trials = optuna_study(store, confirmation).get_trials()
        trained = Counter(key_of(trial.user_attrs[CONFIGURATION]) for trial in trials)
        assert set(trained.values()) == {1}
        assert len(trained) in (seeds, 2 * seeds)


def test_a_paused_study_is_waited_for_and_a_stopping_one_is_left(
    store: Store, begun: Begun, tmp_path: Path
) -> None:
    name, (omad, gaussian) = begun(store, trials=1)
    commands.stop(store, gaussian)
    commands.pause(store, omad)
    working = worker(store, name, tmp_path)
    thread = threading.Thread(target=working.run)
    thread.start()
    time.sleep(3.0)
    assert thread.is_alive()
    assert not ended(store, name)
    commands.want(store, omad, "running")
    thread.join(120)
    assert not thread.is_alive()
    assert {study for study, _ in ended(store, name)} == {omad.name, f"{omad.name}-confirm"}


@pytest.mark.slow
def test_two_workers_on_postgresql_share_a_comparison(
    new_url: Callable[[str], str], begun: Begun, empty_mlflow: Path, tmp_path: Path
) -> None:
    url = new_url("postgresql")
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    with open_storage(url, create=True) as store:
        name, _ = begun(store, trials=3, seeds=3)
        workers = [_start(url, name, tmp_path, number) for number in range(2)]
        try:
            assert [each.wait(400) for each in workers] == [0, 0], (tmp_path / "worker.log").read_text()
        finally:
            for each in workers:
                each.kill()
        _check_exact(store, name, seeds=3)
        trained_by = {row.progress["pid"] for row in rows(store, name).values()}
    assert trained_by == {each.pid for each in workers}


def _start(url: str, name: str, folder: Path, number: int) -> "subprocess.Popen[Any]":
    places = {"OMAD_STORAGE": url, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    places |= {"OMAD_HOME": str(folder / f"home-{number}"), "PYTHONPATH": str(ROOT)}
    with (folder / "worker.log").open("ab") as log:
        command = [sys.executable, "-m", "cli.main", "worker", name, "--device", "cpu"]
        return subprocess.Popen(command, env={**os.environ, **places}, cwd=ROOT, stdout=log, stderr=log)
