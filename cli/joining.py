"""Joining: a study that exists, for a worker that is asked to work for it."""

from search.slots.steering import refuse_moved
from search.slots.study import StudyHandle, open_study
from search.spec.given import Given, refuse_differences
from search.spec.spec import StudySpec
from search.storage.store import Store


def join(store: Store, study: str, given: Given) -> StudyHandle:
    """The study. Raises SpecConflict where it has moved, or was created with other settings than are given."""
    handle = open_study(store, study)
    refuse_moved(store, handle)
    refuse_differences(study, StudySpec.from_json(handle.spec), given)
    return handle
