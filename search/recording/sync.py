"""Sync: sends to MLflow what dead workers left unsent: curves up to a checkpoint, the status of their runs."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from search.checkpoints.workdir import Workdir
from search.recording.slot_run import STATUS
from search.slots import budget
from search.slots.lease import SlotRow
from search.slots.liveness import expire_gone
from search.slots.studies import StudyHandle
from search.storage.patience import patiently
from search.storage.store import Store
from search.study.study_spec import StudySpec
from tracking.errors import TrackingError, TrackingUnavailable
from tracking.sender import send_curve
from tracking.spool.spool import Spool
from tracking.tracker import Tracker

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SyncResult:
    """What was sent and repaired."""

    rows: int = 0
    """Rows of curves that were sent."""
    repaired: int = 0
    """Runs that MLflow showed as running although no worker held their slot."""


def sync_runs(store: Store, handle: StudyHandle, tracker: Tracker, workdir: Workdir) -> SyncResult:
    """Send the curves left on this machine and end the runs that no worker holds; repeating it changes nothing.

    Raises TrackingUnavailable. Trials that have their result are not touched before they are published.
    """
    patiently(lambda: expire_gone(store, handle.study_id))
    running = tracker.running_trials(StudySpec.from_json(handle.spec).experiment, handle.uid)
    slots = _slots(store, handle)
    idle = [slot for slot in slots.values() if slot.outcome is None and not lives(slot)]
    rows = sum(_send_if_whole(slot, handle, tracker, workdir) for slot in idle)
    repaired = sum(
        _repair(store, handle, tracker, slots[number], run_id)
        for run_id, number in running.items()
        if number in slots
    )
    return SyncResult(rows, repaired)


def lives(slot: SlotRow) -> bool:
    """Whether a worker holds the slot."""
    return slot.state == "leased" and (slot.expires_in or 0.0) > 0.0


def _slots(store: Store, handle: StudyHandle) -> Mapping[int, SlotRow]:
    return {slot.number: slot for slot in patiently(lambda: budget.rows(store, handle.study_id))}


def _send_if_whole(slot: SlotRow, handle: StudyHandle, tracker: Tracker, workdir: Workdir) -> int:
    """Send what can be sent of a curve; one that is damaged or refused stops no other."""
    try:
        return _send(slot, handle, tracker, workdir)
    except TrackingUnavailable:
        raise
    except TrackingError as error:
        log.warning("slot %d: its curve cannot be sent: %s", slot.number, error)
        return 0


def _send(slot: SlotRow, handle: StudyHandle, tracker: Tracker, workdir: Workdir) -> int:
    """Send the curve of a half-trained trial, if it lies here, up to the newest checkpoint that others can read.

    Where it was written does not matter: a working folder may have been moved. One sent twice is stored once.
    What is past that may be measured again, elsewhere and at other times.
    """
    newest = next((ref for ref in slot.checkpoints if ref.uri is not None), None)
    if slot.mlflow_run_id is None or newest is None:
        return 0
    lease, _, _ = newest.name.partition("/")
    spool = Spool(workdir.slot(handle.name, handle.uid, slot.number) / lease)
    # An evaluation at the checkpoint's own step may have come after it, and is then measured again from it.
    return send_curve(spool, tracker, slot.mlflow_run_id, newest.step - 1)


def _repair(store: Store, handle: StudyHandle, tracker: Tracker, slot: SlotRow, run_id: str) -> bool:
    """Give a run that is shown as running its true status; returns whether it had another one."""
    if slot.mlflow_run_id is not None and slot.mlflow_run_id != run_id:
        tracker.discard_run(run_id)
        return True
    if slot.mlflow_run_id is None or lives(slot) or (slot.outcome and not slot.published):
        return False
    if slot.outcome is not None:
        tracker.end_run(run_id, STATUS[slot.outcome], slot.reason or "")
        tracker.set_tags(run_id, {"omad.outcome": slot.outcome})
    else:
        step = max((ref.step for ref in slot.checkpoints), default=0)
        tracker.end_run(run_id, "killed", f"No worker is at it; the next one goes on from step {step:,}.")
        if lives(_slots(store, handle)[slot.number]):  # claimed just now, and shown as running too early
            tracker.resume_run(run_id)
            return False
    log.info("the run of slot %d was shown as running, and no worker holds it", slot.number)
    return True
