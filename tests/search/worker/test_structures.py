"""Trials of several structures in one worker: they train in turn, wait without blocking others, and fail alone."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fake_tracker import FakeTracker

from omad_core.config import TrainConfig
from omad_core.events import Event
from omad_core.population import Population
from search.checkpoints.workdir import Workdir
from search.slots import budget
from search.slots.lease import SlotRow
from search.slots.studies import StudyHandle, create_study
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.worker.context import WorkerLocation
from search.worker.worker import Worker

STUDY = """
task = "fragile_worlds:make"
name = "structures"
[space]
actor.hidden_width = { choices = [8, 16, 32] }
"""
TRAIN = {"env_steps": 100, "random_steps": 30, "log_every_steps": 50, "evaluation.every_steps": 50}


class Diary:
    """What the populations of a worker did, by the width of their networks."""

    def __init__(self) -> None:
        self.slices: list[int] = []
        self.most_alive = self.most_members = self._alive = 0
        self.raises_of: int | None = None
        """Width whose next slice raises."""
        self.before_slice: tuple[int, Callable[[], None]] | None = None
        """How many slices are done when this is called."""

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        opened, admitted = Population.__init__, Population.admit
        advanced, evicted, closed = Population.advance, Population.evict, Population.close
        widths: dict[Population, int] = {}
        members: dict[Population, int] = {}

        def init(population: Population, config: TrainConfig, *more: object) -> None:
            opened(population, config, *more, slice_seconds=0.0)  # type: ignore[arg-type]
            widths[population], members[population] = config.actor.hidden_width, 0
            self._alive += 1
            self.most_alive = max(self.most_alive, self._alive)

        def admit(population: Population, *given: object) -> int:
            members[population] += 1
            self.most_members = max(self.most_members, members[population])
            return admitted(population, *given)  # type: ignore[arg-type]

        def advance(population: Population) -> list[Event]:
            if self.before_slice is not None and self.before_slice[0] == len(self.slices):
                self.before_slice[1]()
            self.slices.append(widths[population])
            if widths[population] == self.raises_of:
                self.raises_of = None
                raise FloatingPointError("the engine broke")
            return advanced(population)

        def evict(population: Population, member: int) -> None:
            members[population] -= 1
            evicted(population, member)

        def close(population: Population) -> None:
            self._alive -= 1
            closed(population)

        for name, wrapper in (("__init__", init), ("admit", admit), ("advance", advance)):
            patch.setattr(Population, name, wrapper)
        patch.setattr(Population, "evict", evict)
        patch.setattr(Population, "close", close)


@pytest.fixture
def diary(monkeypatch: pytest.MonkeyPatch) -> Diary:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    kept = Diary()
    kept.watch(monkeypatch)
    return kept


def begin(folder: Path, widths: Sequence[int]) -> tuple[Store, StudyHandle]:
    """A study whose trials have networks of these widths."""
    folder.mkdir()
    (folder / "study.toml").write_text(STUDY)
    requested = StudyRequest(
        profile="smoke", numbers={"trials": len(widths), "checkpoint_seconds": 0.0}, train=TRAIN
    )
    spec = catalog.build(catalog.find(str(folder / "study.toml")), requested, has_gpu=False)
    store = open_storage(f"sqlite:///{folder}/omad.db", create=True)
    params = [{**spec.defaults(), "actor.hidden_width": width} for width in widths]
    return store, create_study(store, spec.name, len(widths), spec.to_json(), params)


def work(
    folder: Path, widths: Sequence[int], pack: int, diary: Diary | None = None, stop_after: int = 0
) -> list[SlotRow]:
    """Work to the end of such a study; with a diary, once more after a stop behind so many slices. Its slots."""
    store, handle = begin(folder, widths)

    def worker() -> Worker:
        return Worker(store, handle, FakeTracker(), WorkerLocation(Workdir(folder / "home"), pack=pack))

    with store:
        if diary is not None:
            stopped = worker()
            diary.before_slice = len(diary.slices) + stop_after, stopped.stop
            stopped.run()
            assert [(row.state, row.attempt) for row in budget.rows(store, handle.study_id)] == [
                ("open", 0)
            ] * len(widths)
        worker().run()
        return budget.rows(store, handle.study_id)


def assert_complete(rows: Sequence[SlotRow], tokens: Sequence[int]) -> None:
    assert [row.outcome for row in rows] == ["complete"] * len(rows)
    assert [row.token for row in rows] == list(tokens)


def test_two_structures_train_in_turn_and_as_each_would_alone(diary: Diary, tmp_path: Path) -> None:
    alone = [work(tmp_path / f"{width}", [width], pack=2)[0].value for width in (8, 16)]
    diary.slices.clear()
    rows = work(tmp_path / "both", [8, 16], pack=2)
    assert_complete(rows, [1, 1])
    assert [row.value for row in rows] == alone
    assert diary.slices[:6] == [8, 16, 8, 16, 8, 16]


def test_of_three_structures_two_train_and_the_third_waits_for_the_first_that_ends(
    diary: Diary, tmp_path: Path
) -> None:
    assert_complete(work(tmp_path / "study", [8, 16, 32], pack=3), [1, 1, 1])
    assert diary.most_alive == 2
    assert diary.slices.index(32) > diary.slices.count(8)


def test_a_trial_that_waits_keeps_no_other_from_being_claimed(diary: Diary, tmp_path: Path) -> None:
    assert_complete(work(tmp_path / "study", [8, 16, 32, 8], pack=4), [1] * 4)
    assert diary.most_members == 2, "the last trial joined the first one's population while the third waited"
    assert diary.most_alive == 2


def test_many_structures_one_after_another(diary: Diary, tmp_path: Path) -> None:
    assert_complete(work(tmp_path / "study", [8, 16, 32, 16, 8], pack=2), [1] * 5)
    assert diary.most_alive == 2


def test_a_population_that_raises_fails_its_own_trials_alone(diary: Diary, tmp_path: Path) -> None:
    diary.raises_of = 16
    assert_complete(work(tmp_path / "study", [8, 16], pack=2), [1, 2])


def test_trials_of_two_populations_are_handed_on_and_end_as_if_nothing_had_happened(
    diary: Diary, tmp_path: Path
) -> None:
    calm = work(tmp_path / "calm", [8, 16], pack=2)
    slices = len(diary.slices)
    rough = work(tmp_path / "rough", [8, 16], pack=2, diary=diary, stop_after=slices // 2)
    assert_complete(rough, [2, 2])
    assert [row.value for row in rough] == [row.value for row in calm]
