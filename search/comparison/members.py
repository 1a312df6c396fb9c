"""Members: the studies of a comparison, found in a storage by their specs."""

import json
from collections.abc import Sequence
from functools import lru_cache

from search.confirmation.pair import parent_of
from search.errors import SpecConflict
from search.slots.studies import StudyHandle, list_studies
from search.storage.reader import Reader
from search.study.comparison import Comparison, member_name


def comparison_of(handle: StudyHandle) -> Comparison | None:
    """The comparison that a study is part of; None of all others."""
    return _comparison(handle.spec)


def members(store: Reader, name: str) -> list[StudyHandle]:
    """The searches of the comparison of this name, by age; none where there is no such comparison."""
    studies = [study for study in list_studies(store) if parent_of(study) is None]
    named = [
        (study, comparison)
        for study in studies
        if (comparison := comparison_of(study)) is not None and comparison.name == name
    ]
    return [each for each, comparison in named if comparison.uid == named[0][1].uid]


def algorithm_of(handle: StudyHandle) -> str:
    """The algorithm that a member of a comparison tunes."""
    comparison = comparison_of(handle)
    if comparison is None:
        raise ValueError(f"study {handle.name!r} is part of no comparison")
    return handle.name.removeprefix(member_name(comparison.name, ""))


def refuse_taken(store: Reader, comparison: str, algorithms: Sequence[str]) -> None:
    """Raise SpecConflict where a study that is not of the comparison has its name, or one of its members' names."""
    taken = {comparison, *(member_name(comparison, each) for each in algorithms)}
    for study in list_studies(store):
        part_of = comparison_of(study)
        if study.name in taken and (part_of is None or part_of.name != comparison):
            raise SpecConflict(
                f"storage {store.address} has a study {study.name!r} that is not part of a comparison {comparison!r}: "
                "give the comparison another name with --name"
            )


@lru_cache(maxsize=1_000)
def _comparison(spec: str) -> Comparison | None:
    document = json.loads(spec)
    stored = document.get("comparison") if isinstance(document, dict) else None
    return Comparison(**stored) if stored else None
