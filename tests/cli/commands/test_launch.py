"""launch: what its workers would be refused for is refused before any of them is submitted."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from search.slots import budget
from search.slots.studies import StudyHandle, create_study
from search.storage.store import Store, open_storage
from search.storage.tables import Slot
from search.study import catalog
from search.study.request import StudyRequest

Run = Callable[..., str]
SCHEDULERS = ("slurm", "ray", "kubernetes")


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the schedulers that were given anything."""
    given: list[str] = []
    for name, call in (("slurm", "launch_slurm"), ("ray", "launch_ray"), ("kubernetes", "kubectl")):

        def submit(*_: Any, name: str = name, **__: Any) -> Any:
            given.append(name)
            raise AssertionError(name)

        monkeypatch.setattr(f"search.launch.{name}.{call}", submit)
    return given


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Store, StudyHandle]]:
    spec = catalog.build(catalog.find("hopper"), StudyRequest(numbers={"trials": 3}), has_gpu=False)
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        yield store, create_study(store, "hopper", 3, spec.to_json())


@pytest.mark.parametrize("where", SCHEDULERS)
def test_a_storage_or_study_that_is_not_there_is_refused_by_name(
    where: str, run: Run, submitted: list[str], tmp_path: Path
) -> None:
    words = ("launch", where, "hoper", "--workers", "2")
    assert "there is no such file" in run(*words, code=1)
    assert not list(tmp_path.iterdir())
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        create_study(store, "hopper", 1, "{}")
    assert "has no study 'hoper'; did you mean 'hopper'?" in run(*words, code=2)
    assert not submitted
    assert not (tmp_path / ".omad").exists()


@pytest.mark.parametrize("where", SCHEDULERS)
def test_a_study_that_needs_no_workers_is_refused(
    where: str, run: Run, submitted: list[str], opened: tuple[Store, StudyHandle]
) -> None:
    store, handle = opened
    words = ("launch", where, "hopper", "--workers", "2")
    budget.set_desired_state(store, handle.study_id, "stopping")
    assert "`omad-search resume hopper` first" in run(*words, code=2)
    budget.set_desired_state(store, handle.study_id, "running")
    with store.write() as connection:
        connection.execute(update(Slot).values(state="done", outcome="pruned", published=True))
    assert "study 'hopper' has ended" in run(*words, code=2)
    assert not submitted


@pytest.mark.parametrize("where", ["slurm", "ray"])
def test_a_tracking_server_that_workers_could_not_reach_is_refused(
    where: str, run: Run, submitted: list[str], opened: tuple[Store, StudyHandle]
) -> None:
    words = ("launch", where, "hopper", "--workers", "2", "--tracking", "http://127.0.0.1:9")
    assert "cannot be reached" in run(*words, code=1)
    assert not submitted
