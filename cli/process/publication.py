"""Publication: the results that workers are still sending to MLflow when a study has ended."""

import time

from cli.process.status_line import status_line
from cli.show.numbers import count
from search.confirmation.pair import pair
from search.slots import budget
from search.slots.liveness import expire_gone
from search.slots.studies import StudyHandle
from search.storage.patience import patiently
from search.storage.store import Store

LOOK_SECONDS = 1.0


def await_publication(store: Store, handle: StudyHandle) -> bool:
    """Wait while workers, here or elsewhere, hold leases to send results; whether there was anything to wait for.

    Results of a search and of its confirmation.

    A worker renews its lease for as long as it tries; the lease of one that died runs out.
    """
    left = _sending(store, handle)
    if not left:
        return False
    what = f"waiting for workers that send {count(left, 'result')} to MLflow"
    with status_line(what) as wait:
        wait.begin(what)
        while left:
            wait.progress(f"{left} left")
            time.sleep(LOOK_SECONDS)
            left = _sending(store, handle)
    return True


def _sending(store: Store, handle: StudyHandle) -> int:
    """Results that are not in MLflow yet and that a living worker holds."""
    return sum(_sending_of(store, each) for each in patiently(lambda: pair(store, handle)))


def _sending_of(store: Store, handle: StudyHandle) -> int:
    patiently(lambda: expire_gone(store, handle.study_id))
    rows = patiently(lambda: budget.unpublished(store, handle.study_id))
    return sum((row.expires_in or 0.0) > 0.0 for row in rows)
