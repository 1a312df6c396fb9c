"""confirm: what it refuses, in one sentence each and before it makes anything; what it makes of an older study."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ended_trials import end_trials

from search.confirmation.creation import ensure
from search.confirmation.pair import confirmation_of
from search.slots.claim import read_desired_state
from search.slots.studies import StudyHandle, create_study, optuna_study
from search.steering import commands
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.confirmation import Confirm
from search.study.request import StudyRequest
from search.study.study_spec import LATER_FIELDS

Run = Callable[..., str]
SPEC = catalog.build(catalog.find("hopper"), StudyRequest(profile="smoke", confirm=False), has_gpu=False)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Store, StudyHandle]]:
    """A study `hopper` that has ended with two trials and wished for no confirmation."""
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, "hopper", 2, SPEC.to_json(), [SPEC.defaults()])
        end_trials(store, handle, [10.0, 30.0])
        yield store, handle


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would have been brought to its end."""
    begun: list[Any] = []
    monkeypatch.setattr(
        "cli.process.study_execution.bring_to_end", lambda running: begun.append(running) or 0
    )
    return begun


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["hoper"], "has no study 'hoper'; did you mean 'hopper'?"),
        (["hopper", "--top", "3"], "--top 3: of study 'hopper', 2 trials completed; no more can be confirmed"),
        (["hopper", "--top", "0"], "Invalid value for '--top': Input should be greater than or equal to 1"),
        (["hopper", "--seeds", "0"], "Invalid value for '--seeds': Input should be greater than or equal to 2"),
        (["hopper", "--seeds", "1"], "Invalid value for '--seeds': Input should be greater than or equal to 2"),
        (["hopper", "--env-steps", "100"], "--env-steps 100 leaves nothing to learn in: the first 100 steps are"),
        (["hopper", "--env-steps", "10000000000000"], "env_steps = 10000000000000 is out of range"),
        (["empty"], "no trial of study 'empty' has completed, so there is nothing to confirm yet"),
        (["done-confirm"], "'done-confirm' is the confirmation of 'done' and cannot be confirmed by itself"),
        (["done", "--env-steps", "250"], "trains 300 environment steps, and --env-steps asks for 250: leave it out"),
        (["taken"], "has a study 'taken-confirm' that is not the confirmation of this 'taken'"),
    ],
)  # fmt: skip
def test_what_cannot_be_confirmed_is_one_sentence_and_nothing_is_made(
    run: Run,
    opened: tuple[Store, StudyHandle],
    started: list[Any],
    tmp_path: Path,
    words: list[str],
    complaint: str,
) -> None:
    store, handle = opened
    create_study(store, "empty", 1, SPEC.to_json())
    for name in ("done", "taken"):
        other = create_study(store, name, 1, SPEC.to_json(), [SPEC.defaults()])
        end_trials(store, other, [5.0])
        if name == "done":
            ensure(store, other, Confirm(1, 2), by_hand=True)
        commands.want(store, other, "paused")
    create_study(store, "taken-confirm", 1, SPEC.to_json())
    said = run("confirm", *words, code=2)
    assert complaint in said
    assert len(said.strip().splitlines()) == 1
    assert confirmation_of(store, handle) is None
    assert read_desired_state(store, other.study_id) == "paused", "what is refused resumes nothing"
    assert not (tmp_path / "mlflow.db").exists()
    assert not started


def test_without_a_storage_it_says_what_makes_one(run: Run, tmp_path: Path) -> None:
    assert "`omad-search run` creates one" in run("confirm", "hopper", code=1)
    assert not list(tmp_path.iterdir())


# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_study_of_format_1_is_confirmed_as_typed_and_then_more(
    run: Run, started: list[Any], tmp_path: Path
) -> None:
    document = json.loads(SPEC.to_json())
    for later in LATER_FIELDS:
        del document[later]
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = create_study(store, "hopper", 2, json.dumps({**document, "format": 1}), [SPEC.defaults()])
        end_trials(store, handle, [10.0, 30.0])
        commands.want(store, handle, "paused")
        for words, trainings in ((["--seeds", "2"], 4), ([], 10), (["--top", "2", "--seeds", "6"], 12)):
            run("confirm", "hopper", *words)
            found = confirmation_of(store, handle)
            assert found is not None
            assert len(optuna_study(store, found).get_trials()) == trainings, words
    assert [running.search for running in started] == [False] * 3
    assert found.desired_state == "running"
