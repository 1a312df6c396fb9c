"""Joining: a study that exists, for a worker that is asked to work for it."""

import logging

from search.records.whereabouts import recorded_in
from search.slots.steering import refuse_moved
from search.slots.study import StudyHandle, open_study
from search.spec.given import Given, refuse_differences
from search.spec.spec import StudySpec
from search.storage.store import Store
from tracking.errors import TrackingUnavailable
from tracking.tracker import Tracker

log = logging.getLogger(__name__)


def join(store: Store, study: str, given: Given, tracker: Tracker, may_be_away: bool = False) -> StudyHandle:
    """The study. Raises SpecConflict where it has moved, is recorded elsewhere, or has other settings than are given.

    `may_be_away`: a tracking server that was seen before and is away now cannot be asked; it comes back.
    """
    handle = open_study(store, study)
    refuse_moved(store, handle)
    refuse_differences(study, StudySpec.from_json(handle.spec), given)
    try:
        tracker.check()
        return recorded_in(store, handle, tracker)
    except TrackingUnavailable as error:
        if not may_be_away:
            raise
        log.warning("%s; work begins without it", error)
        return handle
