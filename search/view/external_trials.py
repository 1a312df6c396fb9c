"""External trials: those of the Optuna study that no slot has, enqueued by a person or run by other programs."""

from collections.abc import Mapping
from dataclasses import dataclass

from optuna.trial import TrialState
from sqlalchemy import select

from search.slots.keys import SLOT
from search.slots.studies import StudyHandle
from search.storage.reader import Reader
from search.storage.tables import Slot
from search.view.trial_history import TrialHead, find_marked, heads


@dataclass(frozen=True)
class ExternalTrials:
    """Numbers of the trials that no slot has."""

    waiting: list[int]
    """Enqueued, waiting for an open slot."""
    external: list[int]
    """Run by other programs: they inform the sampler and do not count."""


def external_trials(
    store: Reader, handle: StudyHandle, trials: Mapping[int, TrialHead] | None = None
) -> ExternalTrials:
    """The study's external trials; `trials`: all its trials, where they are read already.

    Raises StorageUnavailable.
    """
    query = select(Slot.trial_id).where(Slot.study_id == handle.study_id, Slot.trial_id.is_not(None))
    with store.snapshot() as moment:
        with moment.read() as connection:
            bound = set(connection.scalars(query))
        known = heads(moment, handle.study_id) if trials is None else trials
        # A trial that a slot had once, before a retry, is ours still.
        ours = find_marked(moment, handle.study_id, SLOT) if known.keys() - bound else set()
    free = {trial_id: head for trial_id, head in known.items() if trial_id not in bound}
    waiting = [head.number for head in free.values() if head.state is TrialState.WAITING]
    begun = {i: head.number for i, head in free.items() if head.state is not TrialState.WAITING}
    return ExternalTrials(waiting, [number for trial_id, number in begun.items() if trial_id not in ours])
