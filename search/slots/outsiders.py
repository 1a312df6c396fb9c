"""Trials of the Optuna study that are no slot's: enqueued by a person, or run by others."""

from collections.abc import Mapping
from dataclasses import dataclass

from optuna.trial import TrialState
from sqlalchemy import select

from search.slots.history import Head, heads, marked
from search.slots.keys import SLOT
from search.slots.study import StudyHandle
from search.storage.store import Store
from search.storage.tables import Slot


@dataclass(frozen=True)
class Outsiders:
    """Numbers of the trials that no slot has."""

    waiting: list[int]
    """Enqueued, waiting for an open slot."""
    external: list[int]
    """Run by others: they inform the sampler and do not count."""


def outsiders(store: Store, handle: StudyHandle, trials: Mapping[int, Head] | None = None) -> Outsiders:
    """Who they are now; `trials` where all are known already. Raises StorageUnavailable."""
    query = select(Slot.trial_id).where(Slot.study_id == handle.study_id, Slot.trial_id.is_not(None))
    with store.read() as connection:
        bound = set(connection.scalars(query))
    known = heads(store, handle.study_id) if trials is None else trials
    free = {trial_id: head for trial_id, head in known.items() if trial_id not in bound}
    waiting = [head.number for head in free.values() if head.state is TrialState.WAITING]
    begun = {trial_id: head.number for trial_id, head in free.items() if head.state is not TrialState.WAITING}
    # A trial that a slot had once, before a retry, is ours still.
    ours = marked(store, handle.study_id, SLOT) if begun else set()
    return Outsiders(waiting, [number for trial_id, number in begun.items() if trial_id not in ours])
