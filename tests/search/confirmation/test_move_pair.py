"""A search and its confirmation move as one, killed anywhere on the way."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from search.confirmation import creation
from search.confirmation.creation import ensure
from search.confirmation.pair import confirmation_of, pair
from search.errors import SearchError, SpecConflict
from search.slots import budget
from search.slots.claim import Claimant, claim
from search.slots.studies import StudyHandle, create_study, open_study, optuna_study
from search.steering import move, move_guard
from search.storage.store import Store, open_storage
from search.storage.tables import Control, Slot
from search.study.confirmation import CONFIGURATION, Confirm
from search.study.study_spec import StudySpec

End = Callable[..., None]


class PowerCut(BaseException):
    """As by a power cut: nothing is put back."""


@pytest.fixture
def places(new_url: Callable[[str], str]) -> Iterator[tuple[Store, Store]]:
    with (
        open_storage(new_url("sqlite"), create=True) as old,
        open_storage(new_url("sqlite"), create=True) as new,
    ):
        yield old, new


@pytest.fixture
def search(places: tuple[Store, Store], spec: StudySpec, end_trials: End) -> StudyHandle:
    """Ended, with two of its six held-out trainings done."""
    old, _ = places
    chosen = replace(spec, confirm=Confirm(1, 3))
    handle = create_study(old, "hopper", 2, chosen.to_json(), [chosen.defaults()])
    end_trials(old, handle, [10.0, 30.0])
    found = ensure(old, handle)
    assert found is not None
    end_trials(old, found, [700.0, 200.0])
    return handle


def check(old: Store, new: Store, handle: StudyHandle) -> None:
    """All of both is in the new storage, once, and goes on there."""
    studies = pair(new, open_study(new, "hopper"))
    assert [each.name for each in studies] == ["hopper", "hopper-confirm"]
    assert [each.desired_state for each in studies] == ["running", "running"]
    assert [len(budget.rows(new, each.study_id)) for each in studies] == [2, 6]
    assert ensure(new, studies[0]) == studies[1], "it is the same, and nothing is missing"
    trials = optuna_study(new, studies[1]).get_trials()
    assert all(CONFIGURATION in trial.user_attrs for trial in trials)
    assert len(trials) == 6
    assert claim(new, studies[1].study_id, Claimant("worker", 60.0)) is not None
    for each in pair(old, open_study(old, "hopper")):
        assert each.desired_state == "moved"
        assert claim(old, each.study_id, Claimant("worker", 60.0)) is None


def test_both_arrive(places: tuple[Store, Store], search: StudyHandle) -> None:
    old, new = places
    move.move(old, search, new)
    check(old, new, search)


WRITES = [
    "close", "_make", "_write_trials", "_write_rows", "_open_copy", "_all_arrived", "departing"
]  # fmt: skip
KILLS = [(broken, before, after) for broken in WRITES for before in (0, 1) for after in (False, True)]
"""At a write of the search or of its confirmation, before or after it."""
SAMPLE = KILLS[1::5]
"""Each of the writes but one, and each way to die at it."""


@pytest.mark.parametrize(
    ("broken", "before", "after"),
    [pytest.param(*kill, marks=() if kill in SAMPLE else pytest.mark.slow) for kill in KILLS],
)
def test_a_move_that_was_killed_is_done_again(
    places: tuple[Store, Store],
    search: StudyHandle,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
    before: int,
    after: bool,
) -> None:
    old, new = places
    real, left = getattr(move, broken), [before]

    def dying(*args: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0 or not after:
            if left[0] < 0:
                raise PowerCut
            return real(*args, **more)
        real(*args, **more)
        raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(move, broken, dying)
        patch.setattr(move_guard, "_undo", lambda *_: None)
        with suppress(PowerCut):
            move.move(old, open_study(old, "hopper"), new)
    assert confirmation_of(old, search) is not None
    with suppress(SpecConflict):  # it may have arrived already, and then says where it is
        move.move(old, open_study(old, "hopper"), new)
    check(old, new, search)


def test_a_move_that_was_killed_can_be_given_up(
    places: tuple[Store, Store], search: StudyHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = places
    with monkeypatch.context() as patch:
        patch.setattr(move_guard, "_undo", lambda *_: None)
        patch.setattr(move, "_make", lambda *_: (_ for _ in ()).throw(PowerCut()))
        with pytest.raises(PowerCut):
            move.move(old, search, new)
    assert [each.desired_state for each in pair(old, search)][1] == "moving"
    move_guard.give_up(old, open_study(old, "hopper"))
    assert [each.desired_state for each in pair(old, open_study(old, "hopper"))] == ["running", "running"]


@pytest.mark.parametrize("killed", [False, True])
def test_what_was_typed_for_one_that_was_only_begun_moves_too(
    places: tuple[Store, Store],
    spec: StudySpec,
    end_trials: End,
    monkeypatch: pytest.MonkeyPatch,
    killed: bool,
) -> None:
    old, new = places
    wished_none = replace(spec, confirm=None)
    search = create_study(old, "hopper", 2, wished_none.to_json(), [spec.defaults()])
    end_trials(old, search, [10.0, 30.0])
    with monkeypatch.context() as patch:
        patch.setattr(creation, "_insert", lambda *_: None)
        ensure(old, search, Confirm(1, 4), 500, by_hand=True)
    assert confirmation_of(old, search) is None
    if killed:
        with monkeypatch.context() as patch:
            patch.setattr(move_guard, "_undo", lambda *_: None)
            patch.setattr(move, "close", lambda *_: (_ for _ in ()).throw(PowerCut()))
            with pytest.raises(PowerCut):
                move.move(old, search, new)
    arrived = move.move(old, open_study(old, "hopper"), new)
    found = ensure(new, arrived)
    assert found is not None
    assert len(budget.rows(new, found.study_id)) == 8
    assert StudySpec.from_json(found.spec).config.env_steps == 500


@pytest.mark.parametrize("killed", [False, True])
def test_records_of_both_move_to_another_tracking_server_after_a_kill_too(
    places: tuple[Store, Store], search: StudyHandle, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    old, _ = places
    with old.write() as connection:
        connection.execute(update(Slot).values(mlflow_run_id="old run"))
        connection.execute(update(Control).values(tracking="http://old", tracking_run="old study"))
    before = open_study(old, "hopper")
    if killed:
        with monkeypatch.context() as patch:
            patch.setattr(move_guard, "_undo", lambda *_: None)
            with pytest.raises(PowerCut):
                move.move_runs(old, [before], lambda: (_ for _ in ()).throw(PowerCut()), "http://new")
        assert [each.desired_state for each in pair(old, open_study(old, "hopper"))] == ["moving"] * 2
    copied = {"old run": "new run", "old study": "new study"}
    move.move_runs(old, [open_study(old, "hopper")], lambda: copied, "http://new")
    for each in pair(old, open_study(old, "hopper")):
        assert each.desired_state == "running"
        assert (each.tracking, each.tracking_run) == ("http://new", "new study")
        assert {row.mlflow_run_id for row in budget.rows(old, each.study_id)} == {"new run"}


def test_it_is_refused_while_a_worker_confirms(places: tuple[Store, Store], search: StudyHandle) -> None:
    old, new = places
    found = confirmation_of(old, search)
    assert found is not None
    assert claim(old, found.study_id, Claimant("laptop:7", 60.0)) is not None
    with pytest.raises(SpecConflict, match="laptop:7"):
        move.move(old, search, new)
    assert [each.desired_state for each in pair(old, open_study(old, "hopper"))] == ["running", "running"]


def test_a_confirmation_is_not_moved_by_itself(places: tuple[Store, Store], search: StudyHandle) -> None:
    old, new = places
    found = confirmation_of(old, search)
    assert found is not None
    with pytest.raises(SearchError, match="name 'hopper' instead"):
        move.move(old, found, new)
