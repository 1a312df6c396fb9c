"""CheckpointTransfer: how a checkpoint gets to where another machine can resume from it.

1. `write`: its files, on this machine (training; it waits for nothing else)
2. `_record`: on the slot, under the lease's token: from now on the trial resumes there (lease keeper)
3. `_upload`: its files to the trial's run, the manifest last (sender)
4. `_record_address`: the run's address, on the slot: from now on any machine can resume there (lease keeper)
5. `_send_curve`: the rows that the checkpoint holds, so that no successor repeats a point (sender)

Each step submits the next. Files that no recorded checkpoint needs are deleted: after 2 here, after 3 in the run.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from omad_core.checkpoint.state import MemberState
from search.checkpoints.store import CheckpointStore, address
from search.recording.slot_run import RecordingContext
from search.recording.trial_run import TrialRun
from search.slots import lease_writes
from search.slots.lease import CheckpointRef, Lease
from search.slots.lease_keeper import HeldLease


class CheckpointTransfer:
    """The checkpoints that one lease writes, on their way to the storage and the tracking server."""

    def __init__(
        self, context: RecordingContext, held_lease: HeldLease, checkpoints: CheckpointStore, run: TrialRun
    ) -> None:
        self._context, self._held, self._checkpoints, self._run = context, held_lease, checkpoints, run

    @property
    def stored(self) -> Sequence[tuple[int, int]] | None:
        """What of each member's replay the checkpoints so far hold."""
        return self._checkpoints.stored

    def write(self, states: Sequence[MemberState], curve: bytes) -> None:
        """Write a checkpoint here; it is recorded and uploaded soon. Raises CheckpointError."""
        ref = self._checkpoints.write(states, curve)
        # Rows, not steps: the evaluation at its own step may come after it, and is then measured again from it.
        rows = curve.count(b"\n")
        self._context.lease_keeper.submit(self._held, partial(self._record, ref, rows))

    def _record(self, ref: CheckpointRef, rows: int, lease: Lease) -> Lease:
        recorded = lease_writes.record_checkpoint(self._context.store, lease, ref)
        self._checkpoints.prune(ref, recorded)
        self._run.submit("checkpoint", partial(self._upload, ref, rows))
        return recorded

    def _upload(self, ref: CheckpointRef, rows: int) -> None:
        run_id, tracker = self._run.run.open(), self._context.tracker
        if not self._checkpoints.upload(ref, run_id, tracker):
            return  # a newer one has taken its place, and has a job of its own
        self._checkpoints.prune_uploaded(self._held.lease, run_id, tracker)
        uploaded = replace(ref, uri=address(run_id))
        self._context.lease_keeper.submit(self._held, partial(self._record_address, uploaded, rows))

    def _record_address(self, uploaded: CheckpointRef, rows: int, lease: Lease) -> Lease:
        recorded = lease_writes.record_checkpoint(self._context.store, lease, uploaded)
        self._run.submit("curve", partial(self._send_curve, rows))
        return recorded

    def _send_curve(self, rows: int) -> None:
        self._run.send_rows(rows)
        self._run.forget_abandoned()
