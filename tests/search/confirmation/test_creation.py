"""A confirmation holds what is wished for, once each, whoever makes it, however often, killed wherever."""

import json
import threading
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from omad_core import settings
from omad_core.errors import ConfigError
from search.confirmation import creation
from search.confirmation.creation import ensure
from search.confirmation.pair import confirmation_of, pair, parent_of, refuse_taken, search_of
from search.confirmation.work import work_left
from search.errors import SpecConflict
from search.slots import budget, trial_binding
from search.slots.claim import Claimant, claim, read_desired_state
from search.slots.keys import DEFAULTS
from search.slots.studies import StudyHandle, create_study, open_study, optuna_study
from search.steering import commands
from search.storage.store import Store
from search.study.confirmation import CANDIDATE, CONFIGURATION, SEED, Confirm
from search.study.study_spec import LATER_FIELDS, StudySpec

Ended = Callable[..., StudyHandle]
End = Callable[..., None]


def pairs(store: Store, handle: StudyHandle) -> list[tuple[int, int, bool]]:
    """Candidate, held-out seed and whether it is the defaults, of each enqueued trial."""
    trials = optuna_study(store, handle).get_trials()
    given = [(trial.system_attrs["fixed_params"], trial.user_attrs) for trial in trials]
    return [(params[CANDIDATE], params[SEED], marks[DEFAULTS]) for params, marks in given]


def made(store: Store, search: StudyHandle, *more: Any) -> StudyHandle:
    found = ensure(store, search, *more)
    assert found is not None
    return found


def test_the_best_and_the_defaults_are_trained_with_every_held_out_seed(store: Store, ended: Ended) -> None:
    search = ended([10.0, 30.0, 20.0])
    found = made(store, search)
    assert found.name == f"{search.name}-confirm"
    assert pairs(store, found) == [(n, seed, n == 0) for seed in range(3) for n in (1, 0)]
    assert budget.counts(store, found.study_id).total == 6
    spec = StudySpec.from_json(found.spec)
    assert (spec.kind, spec.parent and spec.parent.uid, spec.seeds) == ("confirmation", search.uid, 1)
    assert spec.space == StudySpec.from_json(search.spec).space
    trials = optuna_study(store, found).get_trials()
    assert [t.user_attrs[CONFIGURATION]["seed"] - 4_000_000_000_000 for t in trials] == [0, 0, 1, 1, 2, 2]


def test_a_trial_trains_the_configuration_of_its_candidate(store: Store, ended: Ended) -> None:
    search = ended([10.0, 30.0])
    found = made(store, search)
    lease = claim(store, found.study_id, Claimant("test", 60.0))
    assert lease is not None
    _, trial = trial_binding.bind(store, optuna_study(store, found), lease)
    (config,) = StudySpec.from_json(found.spec).configs(trial)
    best = optuna_study(store, search).get_trials()[1]
    expected = StudySpec.from_json(search.spec).config_of(best)
    assert config == settings.replace(expected, {"seed": 4_000_000_000_000})
    assert trial.params == {CANDIDATE: 1, SEED: 0}


def test_again_it_changes_nothing(store: Store, ended: Ended) -> None:
    search = ended([10.0, 30.0])
    assert made(store, search) == made(store, search)
    assert len(pairs(store, made(store, search))) == 6


def test_many_at_once_make_one(store: Store, ended: Ended) -> None:
    search = ended([10.0, 30.0])
    threads = [threading.Thread(target=ensure, args=(store, search)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = made(store, search)
    assert len(pairs(store, found)) == len(set(pairs(store, found))) == 6
    assert budget.counts(store, found.study_id).total == 6


@pytest.mark.parametrize("broken", ["enqueue_trial", "set_user_attr", "_insert"])
def test_a_kill_between_two_writes_is_mended_by_whoever_comes_next(
    store: Store, ended: Ended, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    search = ended([10.0, 30.0])
    for writes in range(8):
        where: Any = creation if broken == "_insert" else optuna.Study
        real, left = getattr(where, broken), [writes]

        def dying(*args: Any, real: Any = real, left: list[int] = left, **more: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return real(*args, **more)

        with monkeypatch.context() as patch:
            patch.setattr(where, broken, dying)
            try:
                ensure(store, search)
            except KeyboardInterrupt:
                continue
            break
    found = made(store, search)
    assert sorted(pairs(store, found)) == sorted((n, seed, n == 0) for seed in range(3) for n in (1, 0))
    assert budget.counts(store, found.study_id).total == 6


def test_a_new_best_is_confirmed_and_the_old_one_stays(store: Store, ended: Ended, end_trials: End) -> None:
    search = ended([10.0, 30.0])
    found = made(store, search)
    end_trials(store, found, [5.0, 1.0, 6.0, 2.0, 7.0, 3.0])
    budget.extend(store, search.study_id, 3)
    assert made(store, search) == found
    assert budget.counts(store, found.study_id).ended, "the search goes on: nothing is added yet"
    end_trials(store, search, [90.0])
    assert made(store, search) == found
    assert pairs(store, found)[6:] == [(2, 0, False), (2, 1, False), (2, 2, False)]
    counts = budget.counts(store, found.study_id)
    assert (counts.total, counts.done) == (9, 6)


def test_more_seeds_and_more_candidates_add_what_is_missing(store: Store, ended: Ended) -> None:
    search = ended([10.0, 30.0, 20.0])
    found = made(store, search)
    assert made(store, search, Confirm(2, 4)) == found
    assert len(pairs(store, found)) == len(set(pairs(store, found))) == 3 * 4
    assert made(store, search, Confirm(1, 2)) == found
    assert budget.counts(store, found.study_id).total == 12


def test_defaults_that_are_the_best_are_trained_once(store: Store, ended: Ended) -> None:
    found = made(store, ended([90.0, 30.0]))
    assert pairs(store, found) == [(0, 0, True), (0, 1, True), (0, 2, True)]


def test_nothing_is_made_before_there_is_something(store: Store, ended: Ended) -> None:
    assert ensure(store, ended([])) is None
    assert ensure(store, ended([("failed", None), ("pruned", 3.0)])) is None
    assert ensure(store, ended([10.0, 30.0], confirm=None)) is None


def test_a_study_that_wished_for_none_is_confirmed_by_hand_and_then_again(
    store: Store, ended: Ended, end_trials: End
) -> None:
    search = ended([10.0, 30.0], confirm=None)
    found = made(store, search, Confirm(1, 2), None, True)
    assert len(pairs(store, found)) == 4
    budget.extend(store, search.study_id, 3)
    end_trials(store, search, [90.0])
    made(store, search)
    assert len(pairs(store, found)) == 6


@pytest.mark.parametrize("trials", [0, 3])
def test_what_was_typed_outlives_a_kill_before_there_is_a_control_row(
    store: Store, ended: Ended, monkeypatch: pytest.MonkeyPatch, trials: int
) -> None:
    search = ended([10.0, 30.0], confirm=None)
    real, left = optuna.Study.enqueue_trial, [trials]

    def dying(*args: Any, **more: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "enqueue_trial", dying)
        with pytest.raises(KeyboardInterrupt):
            ensure(store, search, Confirm(1, 2), 500, by_hand=True)
    assert confirmation_of(store, search) is None
    assert work_left(store, open_study(store, search.name)).confirmation == 4, (
        "a run or worker makes the rest"
    )
    found = made(store, search)
    assert StudySpec.from_json(found.spec).config.env_steps == 500
    assert sorted(pairs(store, found)) == [(0, 0, True), (0, 1, True), (1, 0, False), (1, 1, False)]
    assert budget.counts(store, found.study_id).total == 4


def test_other_steps_than_those_of_one_that_was_begun_are_refused(
    store: Store, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = ended([10.0, 30.0], confirm=None)
    with monkeypatch.context() as patch:
        patch.setattr(creation, "_insert", lambda *_: None)
        ensure(store, search, Confirm(1, 2), 500, by_hand=True)
    with pytest.raises(SpecConflict, match="trains 500 environment steps, and --env-steps asks for 700"):
        ensure(store, search, Confirm(1, 2), 700, by_hand=True)


def test_a_study_of_format_1_wishes_for_none(spec: StudySpec) -> None:
    document = json.loads(spec.to_json())
    for later in LATER_FIELDS:
        del document[later]
    old = StudySpec.from_json(json.dumps({**document, "format": 1}))
    assert (old.kind, old.parent, old.confirm) == ("search", None, None)


def test_other_steps_than_before_are_refused(store: Store, ended: Ended) -> None:
    search = ended([10.0, 30.0])
    found = made(store, search, None, 500, True)
    assert StudySpec.from_json(found.spec).config.env_steps == 500
    assert made(store, search, None, 500, True) == found
    with pytest.raises(SpecConflict, match="trains 500 environment steps, and --env-steps asks for 700"):
        ensure(store, search, None, 700, True)


def test_a_foreign_study_of_its_name_is_refused(store: Store, ended: Ended, spec: StudySpec) -> None:
    search = ended([10.0, 30.0])
    create_study(store, f"{search.name}-confirm", 1, spec.to_json())
    with pytest.raises(SpecConflict, match="not the confirmation of this"):
        refuse_taken(store, search.name, search.uid)
    with pytest.raises(SpecConflict, match="not the confirmation of this"):
        ensure(store, search)


def test_a_plain_optuna_study_of_its_name_is_refused(store: Store, ended: Ended) -> None:
    search = ended([10.0, 30.0])
    other = optuna.create_study(study_name=f"{search.name}-confirm", storage=store.optuna)
    other.enqueue_trial({"x": 1.0})
    with pytest.raises(SpecConflict, match="not the confirmation of this"):
        ensure(store, search)


def test_a_retry_carries_its_configuration(store: Store, ended: Ended, end_trials: End) -> None:
    search = ended([10.0, 30.0])
    found = made(store, search)
    end_trials(store, found, [("failed", None), 1.0, 6.0, 2.0, 7.0, 3.0])
    assert commands.retry(store, found, None) == [0]
    made(store, search)
    assert budget.counts(store, found.study_id).total == 6
    end_trials(store, found, [5.0])
    trials = optuna_study(store, found).get_trials()
    assert trials[-1].user_attrs[CONFIGURATION] == trials[0].user_attrs[CONFIGURATION]
    assert trials[-1].params == {CANDIDATE: 1, SEED: 0}
    assert budget.counts(store, found.study_id).ended


def test_a_trial_without_a_configuration_is_a_clear_error_and_takes_no_place(
    store: Store, ended: Ended, end_trials: End
) -> None:
    search = ended([10.0, 30.0])
    found = made(store, search)
    study = optuna_study(store, found)
    study.enqueue_trial({"x": 1.0})
    end_trials(store, found, [5.0, 1.0, 6.0, 2.0, 7.0, 3.0])
    assert budget.counts(store, found.study_id).ended
    (loose,) = study.get_trials(states=(TrialState.WAITING,))
    with pytest.raises(ConfigError, match="has no configuration"):
        StudySpec.from_json(found.spec).config_of(loose)


def test_the_pair_is_steered_as_one(store: Store, ended: Ended) -> None:
    search = ended([10.0, 30.0])
    found = made(store, search)
    for named, state in ((search, "paused"), (found, "stopping"), (found, "running")):
        commands.want(store, named, state)  # type: ignore[arg-type]
        assert (
            read_desired_state(store, search.study_id) == read_desired_state(store, found.study_id) == state
        )
    assert pair(store, found) == pair(store, search) == [open_study(store, search.name), found]
    assert search_of(store, found).uid == search.uid
    assert parent_of(search) is None


def test_a_search_that_has_ended_is_paused_while_it_is_confirmed(
    store: Store, ended: Ended, end_trials: End
) -> None:
    search = ended([10.0, 30.0])
    found = made(store, search)
    assert commands.pause(store, search)
    assert read_desired_state(store, found.study_id) == "paused"
    commands.want(store, search, "running")
    end_trials(store, found, [5.0, 1.0, 6.0, 2.0, 7.0, 3.0])
    assert not commands.pause(store, search)


def test_a_confirmation_made_while_its_search_is_paused_is_paused(store: Store, ended: Ended) -> None:
    search = ended([10.0, 30.0])
    commands.want(store, search, "paused")
    assert made(store, search).desired_state == "paused"


def test_a_confirmation_is_not_extended_by_itself(store: Store, ended: Ended) -> None:
    found = made(store, ended([10.0, 30.0]))
    with pytest.raises(SpecConflict, match="is the confirmation of"):
        commands.extend(store, found, "+3")


def test_what_is_left_counts_both(store: Store, ended: Ended, end_trials: End) -> None:
    search = ended([10.0, 30.0])
    left = work_left(store, search)
    assert (left.search, left.confirmation, left.side_by_side, left.nothing) == (0, 6, 6, False)
    assert work_left(store, search, confirm=False).nothing
    found = confirmation_of(store, search)
    assert found is not None
    end_trials(store, found, [5.0, 1.0, 6.0, 2.0, 7.0, 3.0])
    assert work_left(store, search).nothing
    budget.extend(store, search.study_id, 3)
    assert (work_left(store, search).search, work_left(store, search).confirmation) == (1, 0)
