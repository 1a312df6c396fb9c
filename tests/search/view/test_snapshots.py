"""What several queries read is of one moment: a writer between any two of them changes nothing that is shown."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial
from sqlalchemy import delete, event

from cli.main import main
from search.errors import SearchError, StudyNotFound
from search.recording.study_run import _read as read_study_run
from search.slots import budget, claim, lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant
from search.slots.lease import Lease, Outcome
from search.slots.studies import StudyHandle, create_study, list_studies, open_study, optuna_study
from search.steering import commands, move
from search.storage.store import Store, open_storage
from search.storage.tables import Slot
from search.study import catalog
from search.study.request import StudyRequest
from search.view import status
from search.view.external_trials import external_trials
from search.view.trial_history import all_trials, find_marked, heads
from search.view.views import StudyView

SPEC = catalog.build(catalog.find("hopper"), StudyRequest(profile="smoke"), has_gpu=False)


class Writer:
    """Does on a study, through connections of its own, what workers, people and others do meanwhile."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.handle = create_study(store, "hopper", 150, SPEC.to_json())
        self.study = optuna_study(store, self.handle, optuna.samplers.RandomSampler(seed=0))
        self.count = 0
        self.leases: list[Lease] = []
        for _ in range(4):
            self.write()

    def write(self) -> None:
        """A trial begins, another one ends, an external one is added; now and then a study begins, one is paused."""
        self.count += 1
        budget.set_desired_state(self.store, self.handle.study_id, "running")
        self._begin()
        self._end("complete" if self.count % 2 else "failed")
        self.study.add_trial(
            create_trial(params={"x": 0.5}, distributions={"x": FloatDistribution(0.0, 1.0)}, value=1.0)
        )
        if self.count % 2:
            create_study(self.store, f"hopper-{self.count}", 1, SPEC.to_json())
            budget.set_desired_state(self.store, self.handle.study_id, "paused")

    def _begin(self) -> None:
        lease = claim.claim(self.store, self.handle.study_id, Claimant("elsewhere:1", seconds=1e6))
        assert lease is not None
        lease, trial = trial_binding.bind(self.store, self.study, lease)
        trial.suggest_float("gamma", 0.9, 0.999)
        lease_writes.renew(self.store, lease, 1e6, {"token": lease.token, "step": 10})
        outcomes.report(self.store, lease, trial, 10, 1.0)
        self.leases.append(lease)

    def _end(self, outcome: Outcome) -> None:
        if len(self.leases) > 1:
            value = None if outcome == "failed" else 100.0 + self.count
            outcomes.finish(self.store, self.study, self.leases.pop(0), outcome, value, seconds=1e6)


@pytest.fixture(
    params=["sqlite", "postgresql", pytest.param("mariadb", marks=pytest.mark.slow)], scope="module"
)
def url(request: pytest.FixtureRequest, new_url: Callable[[str], str]) -> str:
    return new_url(request.param)


@pytest.fixture(scope="module")
def writer(url: str) -> Iterator[Writer]:
    with open_storage(url, create=True) as store:
        yield Writer(store)


@contextmanager
def writing(store: Store, writer: Writer) -> Iterator[list[str]]:
    """Write after every query of a storage; the queries, without the last, after which nothing is read."""
    queries: list[str] = []

    def meanwhile(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            queries.append(statement)
            writer.write()

    event.listen(store.engine, "after_cursor_execute", meanwhile)
    try:
        yield queries
    finally:
        event.remove(store.engine, "after_cursor_execute", meanwhile)


def steady(seen: Any) -> Any:
    """What was read, without what only the clock changes."""
    if isinstance(seen, StudyView):
        trials = [replace(trial, lease_seconds=trial.lease_seconds is not None) for trial in seen.trials]
        return replace(seen, trials=trials, elapsed_seconds=0.0)
    if isinstance(seen, list) and seen and isinstance(seen[0], budget.SlotRow):
        return [replace(row, expires_in=row.expires_in is not None) for row in seen]
    return seen


READS: dict[str, Callable[[Store, StudyHandle], Any]] = {
    "status": status.read,
    "status of the newest": lambda store, handle: status.read(store, handle, recent=1),
    "trials": lambda store, handle: all_trials(store, handle.study_id),
    "heads": lambda store, handle: heads(store, handle.study_id),
    "find_marked": lambda store, handle: find_marked(store, handle.study_id, "omad_slot"),
    "external trials": external_trials,
    "rows": lambda store, handle: budget.rows(store, handle.study_id),
    "unpublished": lambda store, handle: budget.unpublished(store, handle.study_id),
    "counts": lambda store, handle: budget.counts(store, handle.study_id),
    "desired state": lambda store, handle: claim.read_desired_state(store, handle.study_id),
    "studies": lambda store, handle: list_studies(store),
    "a study": lambda store, handle: open_study(store, handle.name),
    "the study's run": lambda store, handle: read_study_run(store, handle.name),
    "failed trials": lambda store, handle: commands._failed_slots(store, handle, [0]),
    "what is moved": lambda store, handle: move._read(store, handle).trials,
}
SEVERAL = {"status", "status of the newest", "trials", "external trials", "studies", "a study"}
SEVERAL |= {"the study's run", "failed trials", "what is moved"}
UNCHANGED = {"a study", "failed trials"}


@pytest.mark.parametrize("name", READS)
def test_a_writer_between_any_two_queries_changes_nothing_that_is_read(
    name: str, url: str, writer: Writer
) -> None:
    with open_storage(url) as store:
        handle = open_study(store, "hopper")
        expected = steady(READS[name](store, handle))
        with writing(store, writer) as queries:
            found = steady(READS[name](store, handle))
        assert found == expected
        assert len(queries) > 1 or name not in SEVERAL
        if name not in UNCHANGED:
            assert steady(READS[name](store, handle)) != expected


def test_a_snapshot_is_of_one_moment_whatever_reads_through_it(url: str, writer: Writer) -> None:
    with open_storage(url) as store, store.snapshot() as moment:
        before = [status.read(moment, handle) for handle in list_studies(moment)]
        writer.write()
        after = [status.read(moment, handle) for handle in list_studies(moment)]
        assert [steady(view) for view in after] == [steady(view) for view in before]
        assert steady(status.read(store, writer.handle)) not in [steady(view) for view in before]


def test_nothing_can_be_written_where_only_reading_was_asked_for(url: str, writer: Writer) -> None:
    if url.startswith("sqlite"):
        pytest.skip("SQLite has no transactions that refuse writes")
    with open_storage(url) as store, pytest.raises(SearchError), store.read() as connection:
        connection.execute(delete(Slot))


def test_who_names_a_study_that_is_not_there_sees_names_of_one_moment(url: str, writer: Writer) -> None:
    with (
        open_storage(url) as store,
        writing(store, writer),
        pytest.raises(StudyNotFound, match="has no study 'nowhere'"),
    ):
        open_study(store, "nowhere")


def test_the_list_of_studies_is_of_one_moment(
    url: str, writer: Writer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def listed() -> str:
        with pytest.raises(SystemExit, match=r"^0$"):
            main(["studies", "--json"])
        return capsys.readouterr().out

    def read_late(*args: Any, **more: Any) -> StudyView:
        writer.write()
        return read(*args, **more)

    read = status.read
    monkeypatch.setenv("OMAD_STORAGE", url)
    before = listed()
    monkeypatch.setattr(status, "read", read_late)
    assert listed() == before
    monkeypatch.setattr(status, "read", read)
    assert listed() != before
