"""Leftovers: rows of ours of a study that was deleted with Optuna, which uses the ids of studies and trials again."""

from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import Connection, delete, update

from search.storage.tables import AttemptRow, Control, EvaluationRow, Slot

CHUNK = 500
"""Ids in one statement; databases limit how many it may name."""


def forget_studies(connection: Connection, studies: Collection[int]) -> None:
    """Delete whatever is there under these ids of studies."""
    for table in (Slot, AttemptRow, EvaluationRow, Control):
        connection.execute(delete(table).where(table.study_id.in_(studies)))


def take_trials(connection: Connection, study_id: int, trials: Sequence[int]) -> bool:
    """Take trials of a study from rows of other studies; whether there were any.

    A trial is of one study: whatever has its id for another one is left over.
    """
    taken = 0
    for ids in _chunks(trials):
        slots = update(Slot).where(Slot.trial_id.in_(ids), Slot.study_id != study_id).values(trial_id=None)
        taken += connection.execute(slots).rowcount
        there = EvaluationRow.trial_id.in_(ids), EvaluationRow.study_id != study_id
        taken += connection.execute(delete(EvaluationRow).where(*there)).rowcount
    return taken > 0


def _chunks(trials: Sequence[int]) -> Iterator[Sequence[int]]:
    for n in range(0, len(trials), CHUNK):
        yield trials[n : n + CHUNK]
