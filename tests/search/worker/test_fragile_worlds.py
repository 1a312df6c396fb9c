"""Environments that raise when they are made, reset or stepped: their trial fails like any other, nobody else does."""

import importlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_tracker import FakeTracker
from optuna.trial import TrialState

from omad_core.envs import make_spec
from search.checkpoints.workdir import Workdir
from search.slots import budget
from search.slots.lease import SlotRow
from search.slots.studies import create_study, optuna_study
from search.storage.store import open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.worker.context import WorkerLocation
from search.worker.worker import Worker

Work = Callable[..., list[SlotRow]]
MAX_ATTEMPTS = 3
EVERY_ONE = -1


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """Has a worker of this process work to the end of a study of two trials; its slots."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    train = {"env_steps": 200, "random_steps": 50, "log_every_steps": 50, "evaluation.every_steps": 100}
    numbers = {"trials": 2, "max_attempts": MAX_ATTEMPTS, "checkpoint_seconds": 0.0}
    requested = StudyRequest(profile="smoke", numbers=numbers, train=train, confirm=False)
    spec = catalog.build(catalog.find("fragile_worlds:make"), requested, has_gpu=False)

    def to_the_end(
        pack: int, makes: int = 0, resets_of: int | None = None, steps_of: int | None = None
    ) -> list[SlotRow]:
        make_spec(spec.task, spec.config.env)  # looks at an environment, and is remembered
        trouble = importlib.import_module("fragile_worlds").trouble
        trouble.makes, trouble.resets_of, trouble.steps_of, trouble.made = makes, resets_of, steps_of, 0
        with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
            handle = create_study(store, spec.name, 2, spec.to_json(), [spec.defaults()])
            Worker(store, handle, FakeTracker(), WorkerLocation(Workdir(tmp_path / "home"), pack=pack)).run()
            states = {trial.number: trial.state for trial in optuna_study(store, handle).get_trials()}
            rows = budget.rows(store, handle.study_id)
        for row in rows:
            told = states[row.number] is TrialState.COMPLETE
            assert told == (row.outcome == "complete")
            assert row.published
        return rows

    yield to_the_end
    importlib.import_module("fragile_worlds").trouble.__init__()  # other tests share the module


def test_a_trial_whose_environment_cannot_be_made_is_tried_again(
    work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        first, second = work(pack=1, makes=MAX_ATTEMPTS - 1)
    assert caplog.text.count("trial 0 cannot begin") == MAX_ATTEMPTS - 1
    assert "no licence is left" in caplog.text
    assert (first.outcome, first.token) == ("complete", MAX_ATTEMPTS)
    assert (second.outcome, second.token) == ("complete", 1)


def test_one_that_never_can_be_made_fails_with_the_reason(work: Work) -> None:
    for row in work(pack=1, makes=1_000):
        assert (row.outcome, row.token) == ("failed", MAX_ATTEMPTS)
        assert "fragile_worlds:make raised ValueError in make: no licence is left, " in row.reason


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("resets_of", "fragile_worlds:make raised ValueError in reset: the arena is locked, "),
        (
            "steps_of",
            "fragile_worlds:make raised ZeroDivisionError in step (step 1): the wheel came off, ",
        ),
    ],
)
def test_one_that_raises_is_built_anew_and_its_neighbour_in_the_pack_trains_on(
    work: Work, caplog: pytest.LogCaptureFixture, what: str, reason: str
) -> None:
    from fragile_worlds import TRAINING_OF_LANE_1

    with caplog.at_level(logging.ERROR):
        first, second = work(pack=2, **{what: TRAINING_OF_LANE_1})
    assert caplog.text.count("trial 1 cannot go on") == 1
    assert f"it cannot begin: {reason}" in caplog.text
    assert (first.outcome, first.token) == ("complete", 1)
    assert (second.outcome, second.token) == ("complete", 2)


def test_one_that_raises_wherever_it_is_built_fails_with_the_reason(work: Work) -> None:
    for row in work(pack=1, steps_of=EVERY_ONE):
        assert (row.outcome, row.token) == ("failed", MAX_ATTEMPTS)
        assert row.reason.startswith(
            "it cannot begin: fragile_worlds:make raised ZeroDivisionError in step (step 1): the wheel came off, "
        )
