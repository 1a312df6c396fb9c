"""Work: what is left to do of a search and of its confirmation."""

from dataclasses import dataclass

from search.confirmation.creation import ensure, read_wish
from search.confirmation.pair import confirmation_of
from search.slots import budget
from search.slots.studies import StudyHandle
from search.storage.store import Store


@dataclass(frozen=True)
class WorkLeft:
    """Trainings without a result, and results that are not in MLflow."""

    search: int
    confirmation: int
    """Of one that is not made yet, what it may hold."""
    unpublished: int

    @property
    def nothing(self) -> bool:
        """Whether all is done."""
        return not (self.search or self.confirmation or self.unpublished)

    @property
    def side_by_side(self) -> int:
        """Trainings that workers can be at at the same time."""
        return max(self.search, self.confirmation)


def work_left(store: Store, handle: StudyHandle, search: bool = True, confirm: bool = True) -> WorkLeft:
    """What is left now; the confirmation of a search that has ended is made, or extended, on the way."""
    counts = budget.counts(store, handle.study_id)
    left = counts.total - counts.done - counts.failed if search else 0
    if not confirm:
        return WorkLeft(left, 0, counts.unpublished)
    confirmation = ensure(store, handle) if counts.ended else confirmation_of(store, handle)
    if confirmation is None:
        wish = read_wish(store, handle, None)
        expected = (wish.top + 1) * wish.seeds if wish and left else 0
        return WorkLeft(left, expected, counts.unpublished)
    held_out = budget.counts(store, confirmation.study_id)
    waiting = held_out.total - held_out.done - held_out.failed
    return WorkLeft(left, waiting, (counts.unpublished if search else 0) + held_out.unpublished)
