"""Workers that join while only the confirmation is left train part of it: on PostgreSQL, each training once."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient

from search.confirmation.creation import ensure
from search.confirmation.pair import confirmation_of
from search.slots import budget
from search.slots.lease import SlotRow
from search.slots.studies import optuna_study
from search.study.confirmation import CANDIDATE, SEED, Confirm


@pytest.fixture
def study(
    location: Callable[..., Any], new_url: Callable[[str], str], end_trials: Callable[..., None]
) -> Any:
    """A search that has ended; nobody has begun its confirmation of eight trainings."""
    made = location("study", 2, storage=new_url("postgresql"), confirm=True, steps=400)
    end_trials(made.store, made.handle, [10.0, 30.0])
    return made


# MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_who_joins_while_only_the_confirmation_is_left_helps_with_it(study: Any) -> None:
    def held_out() -> list[SlotRow]:
        found = confirmation_of(study.store, study.handle)
        return [] if found is None else budget.rows(study.store, found.study_id)

    first = study.start("first")
    study.wait_for(lambda _: any(row.state == "leased" for row in held_out()))
    ensure(
        study.store, study.handle, Confirm(1, 4), by_hand=True
    )  # more than one does while the other starts
    second = study.start("second")
    study.finish(900)
    assert (first.returncode, second.returncode) == (0, 0), study.log
    rows = held_out()
    assert {(row.state, row.outcome, row.published) for row in rows} == {("done", "complete", True)}, (
        study.log
    )
    share = Counter(str(row.owner).rpartition(":")[2] for row in rows)
    assert set(share) == {str(first.pid), str(second.pid)}, share
    found = confirmation_of(study.store, study.handle)
    assert found is not None
    trials = optuna_study(study.store, found).get_trials()
    assert sorted((t.params[CANDIDATE], t.params[SEED]) for t in trials) == [
        (n, s) for n in (0, 1) for s in range(4)
    ]
    client = MlflowClient(study.tracking)
    runs = client.search_runs(["1"], "tags.`omad.kind` = 'confirmation' and tags.`omad.role` = 'trial'")
    assert Counter(run.info.status for run in runs) == {"FINISHED": 8}
