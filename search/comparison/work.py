"""Work: what is left to do of all studies of a comparison, and which of them a worker is to take up."""

from collections.abc import Sequence
from dataclasses import dataclass

from search.confirmation.creation import ensure
from search.confirmation.work import work_left as work_left_of_pair
from search.slots import budget
from search.slots.liveness import expire_gone
from search.slots.studies import StudyHandle
from search.storage.store import Store
from search.study.confirmation import Confirm


@dataclass(frozen=True)
class ComparisonWork:
    """Trainings without a result, and results that are not in MLflow."""

    side_by_side: int
    """Trainings that workers can be at at the same time."""
    unpublished: int

    @property
    def nothing(self) -> bool:
        """Whether all is done."""
        return not (self.side_by_side or self.unpublished)


def work_left(store: Store, members: Sequence[StudyHandle], wish: Confirm | None = None) -> ComparisonWork:
    """What is left now; the confirmation of a search that has ended is made, or extended, on the way."""
    left = []
    for member in members:
        ensure(store, member, wish)
        left.append(work_left_of_pair(store, member))
    return ComparisonWork(
        sum(member.side_by_side for member in left), sum(member.unpublished for member in left)
    )


@dataclass(frozen=True)
class Vacancy:
    """A study that a worker may take up."""

    study: StudyHandle
    free: int
    """Trials that can be claimed now."""
    held: int
    """Trials in the hands of workers."""
    left_over: bool
    """Whether all have ended, and results are not in MLflow."""
    ended: bool


def vacancy(store: Store, study: StudyHandle) -> Vacancy:
    """How much of a study there is to take up now; leases of dead workers of this machine are ended first."""
    expire_gone(store, study.study_id)
    counts = budget.counts(store, study.study_id)
    free = counts.open + counts.resumable
    return Vacancy(study, free, counts.leased, counts.ended and bool(counts.unpublished), counts.ended)


def neediest(vacancies: Sequence[Vacancy], turn: int) -> StudyHandle | None:
    """The study with the fewest workers among those with a free trial; of equal ones the first from place `turn` on.

    So workers spread over the algorithms, and each study's sampler waits for few results at a time.
    """
    at = turn % max(1, len(vacancies))
    free = [candidate for candidate in (*vacancies[at:], *vacancies[:at]) if candidate.free]
    return min(free, key=lambda candidate: candidate.held).study if free else None
