"""A study's view: dead workers of this machine are not at work; failures are named by their reasons."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from search.slots import lease_writes, outcomes, trial_binding
from search.slots.claim import Claimant, claim
from search.slots.lease import Lease
from search.slots.liveness import identity
from search.slots.studies import StudyHandle, create_study, optuna_study
from search.storage.store import Store, open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.view import status
from search.view.views import Failure

Study = tuple[Store, StudyHandle]


@pytest.fixture
def study(new_url: Callable[[str], str]) -> Iterator[Study]:
    spec = catalog.build(catalog.find("hopper"), StudyRequest(numbers={"trials": 4}), has_gpu=False)
    with open_storage(new_url("sqlite"), create=True) as store:
        yield store, create_study(store, "hopper", 4, spec.to_json())


@pytest.fixture(scope="module")
def dead() -> dict[str, object]:
    """Identity of a process of this machine that has ended."""
    code = "from search.slots.liveness import identity; import json; print(json.dumps(identity()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return dict(json.loads(done.stdout))


def take(study: Study, owner: str, worker: dict[str, object]) -> Lease:
    store, handle = study
    lease = claim(store, handle.study_id, Claimant(owner, 600.0))
    assert lease is not None
    lease, _ = trial_binding.bind(store, optuna_study(store, handle), lease)
    lease_writes.renew(store, lease, 600.0, {"token": lease.token, "step": 10, **worker})
    return lease


def test_a_dead_worker_of_this_machine_is_not_at_work(study: Study, dead: dict[str, object]) -> None:
    store, handle = study
    take(study, "here:1", dead)
    take(study, "here:2", identity())
    take(study, "there:3", {**dead, "machine": "another"})
    seen = status.read(store, handle)
    assert [trial.state for trial in seen.trials] == ["released", "running", "running", "waiting"]
    assert list(seen.workers) == ["here:2", "there:3"]
    assert [trial.worker for trial in seen.leased if (trial.lease_seconds or 0.0) <= 0.0] == ["here:1"]


def test_a_lease_that_still_shows_its_last_holders_progress_is_its_new_holders(
    study: Study, dead: dict[str, object]
) -> None:
    store, handle = study
    lease_writes.release(store, take(study, "here:1", dead))
    assert claim(store, handle.study_id, Claimant("here:2", 600.0)) is not None
    assert list(status.read(store, handle).workers) == ["here:2"]


def test_failures_are_named_by_reason_the_commonest_first(study: Study) -> None:
    store, handle = study
    for reason in ("out of memory", "reward was nan", "reward was nan"):
        lease = take(study, "here:1", identity())
        outcomes.fail(store, optuna_study(store, handle), lease, reason, max_attempts=1)
    assert status.read(store, handle).failures == [
        Failure("failed", "reward was nan", [1, 2]),
        Failure("failed", "out of memory", [0]),
    ]
