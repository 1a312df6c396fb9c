"""Leases of dead workers of this machine end at once; nobody else's do."""

import subprocess
import sys

import pytest

from search.slots import budget, lease_writes, liveness
from search.slots.claim import Claimant, claim
from search.slots.studies import create_study
from search.storage.store import open_storage


@pytest.fixture
def study(tmp_path):
    with open_storage(f"sqlite:///{tmp_path / 'omad.db'}", create=True) as store:
        yield store, create_study(store, "study", 2, "{}")


def dead_identity():
    code = "from search.slots.liveness import identity; import json; print(json.dumps(identity()))"
    import json

    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def test_a_dead_workers_lease_ends_at_once_and_its_slot_is_claimed(study):
    store, handle = study
    lease = claim(store, handle.study_id, Claimant("dead", 600.0))
    lease_writes.renew(store, lease, 600.0, dead_identity() | {"token": lease.token})
    assert liveness.expire_gone(store, handle.study_id) == 1
    again = claim(store, handle.study_id, Claimant("heir", 600.0))
    assert (again.number, again.token) == (lease.number, lease.token + 1)


@pytest.mark.parametrize(
    "progress",
    [
        lambda token: liveness.identity() | {"token": token},
        lambda token: dead_identity() | {"token": token, "machine": "another"},
        lambda token: dead_identity() | {"token": token - 1},
        lambda token: {"token": token},
    ],
    ids=["living", "of another machine", "of the lease before", "unknown"],
)
def test_other_leases_are_left_alone(study, progress):
    store, handle = study
    lease = claim(store, handle.study_id, Claimant("worker", 600.0))
    lease_writes.renew(store, lease, 600.0, progress(lease.token))
    assert liveness.expire_gone(store, handle.study_id) == 0
    assert budget.rows(store, handle.study_id)[0].expires_in > 500
