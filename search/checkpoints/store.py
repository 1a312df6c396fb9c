"""CheckpointStore: a trial's checkpoints on this machine and in its MLflow run, written and loaded."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from omad_core.checkpoint import checkpoint
from omad_core.checkpoint.checkpoint import StoredCheckpoint
from omad_core.checkpoint.state import MemberState
from omad_core.errors import CheckpointError
from search.checkpoints.workdir import Workdir, lease_folder
from search.slots.lease import CheckpointRef, Lease
from tracking.errors import TrackingError, TrackingUnavailable
from tracking.tracker import Tracker

log = logging.getLogger(__name__)

ARTIFACTS = "checkpoints"
"""Artifact folder of a trial's run that holds its checkpoints, laid out as the slot's folder is."""
CURVE = "curve.jsonl"


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A checkpoint that was read and verified."""

    ref: CheckpointRef
    states: list[MemberState]
    curve: bytes


def load_newest(
    lease: Lease,
    slot_folder: Path,
    workdir: Workdir,
    tracker: Tracker,
    note_progress: Callable[[], None] = lambda: None,
) -> LoadedCheckpoint | None:
    """The newest checkpoint of a slot that can be read here and verified; logs why each newer one cannot.

    Calls `note_progress` after every file it fetches. Raises TrackingUnavailable: waiting is better than going back.
    """
    for ref in lease.checkpoints:
        try:
            return _load(ref, slot_folder, workdir, tracker, note_progress)
        except TrackingUnavailable:
            raise
        except (CheckpointError, TrackingError) as error:
            log.warning(
                "slot %d: the checkpoint at step %d cannot be used: %s", lease.number, ref.step, error
            )
    if lease.checkpoints:
        log.warning("slot %d: no checkpoint can be read here, the trial starts again", lease.number)
    return None


def goes_back(lease: Lease, loaded: LoadedCheckpoint | None) -> bool:
    """Whether the trial's run may show points past the checkpoint that the trial resumes from."""
    shown = max((ref.step for ref in lease.checkpoints if ref.uri is not None), default=0)
    return (loaded.ref.step if loaded is not None else 0) < shown


def address(run_id: str) -> str:
    """Address of the checkpoints of a run, for a checkpoint's `uri`."""
    return f"runs:/{run_id}/{ARTIFACTS}"


def readdress(ref: CheckpointRef, runs: Mapping[str, str]) -> CheckpointRef:
    """A checkpoint whose run was copied to another tracking server; `runs`: old id to new id."""
    if ref.uri is None or (copy := runs.get(_run_of(ref.uri))) is None:
        return ref
    return replace(ref, uri=address(copy))


def _run_of(uri: str) -> str:
    return uri.removeprefix("runs:/").partition("/")[0]


def _load(
    ref: CheckpointRef,
    slot_folder: Path,
    workdir: Workdir,
    tracker: Tracker,
    note_progress: Callable[[], None],
) -> LoadedCheckpoint:
    lease, _, name = ref.name.partition("/")
    root = slot_folder / lease
    try:
        # Also one of another home: a working folder may have been moved, copied or mounted elsewhere.
        states, extra = checkpoint.read(root, name, ref.digest)
    except CheckpointError as error:
        if ref.uri is None:
            if ref.home != workdir.name:
                raise CheckpointError(f"it lies on another machine ({ref.home})") from error
            raise
        log.info("fetching the checkpoint at step %d from the tracking server (%s)", ref.step, error)
        _fetch(ref, root, name, _run_of(ref.uri), tracker, note_progress)
        states, extra = checkpoint.read(root, name, ref.digest)
    return LoadedCheckpoint(ref, states, extra[CURVE])


def _fetch(
    ref: CheckpointRef,
    root: Path,
    name: str,
    run_id: str,
    tracker: Tracker,
    note_progress: Callable[[], None],
) -> None:
    prefix = PurePosixPath(ARTIFACTS) / root.name
    tracker.download(run_id, str(prefix / name), root / name)
    for path, digest in checkpoint.open_manifest(root, name, ref.digest).files.items():
        if not checkpoint.intact(root / path, digest):
            tracker.download(run_id, str(prefix / path), root / path)
            note_progress()


class CheckpointStore:
    """The checkpoints that one lease writes."""

    def __init__(self, folder: Path, token: int, workdir: Workdir) -> None:
        self.root = folder / lease_folder(token)
        self._prefix, self._workdir = lease_folder(token), workdir
        self._lock = threading.Lock()
        self._written: dict[str, StoredCheckpoint] = {}
        self._unrecorded: set[str] = set()
        self._uploading: str | None = None
        self._uploaded: set[str] = set()
        self._newest: Sequence[str] = ()
        self._run_id: str | None = None
        self.last: StoredCheckpoint | None = None

    @property
    def stored(self) -> Sequence[tuple[int, int]] | None:
        """What of each member's replay is stored below the root already."""
        return self.last.stored if self.last else None

    def write(self, states: Sequence[MemberState], curve: bytes) -> CheckpointRef:
        """Write a checkpoint on this machine. Raises CheckpointError."""
        # Under the lock as a whole: `prune` deletes what it does not know.
        with self._lock:
            written = checkpoint.write(self.root, states, {CURVE: curve}, self.last)
            name = f"{self._prefix}/{written.name}"
            self.last = self._written[name] = written
            self._unrecorded.add(name)
        return CheckpointRef(written.step, name, written.digest, self._workdir.name)

    def prune(self, ref: CheckpointRef, lease: Lease) -> None:
        """Delete local files that no checkpoint needs, now that the slot has recorded `ref`."""
        with self._lock:
            self._unrecorded.discard(ref.name)
            needed = {ref.name for ref in lease.checkpoints} | self._unrecorded | {self._uploading}
            self._written = {n: w for n, w in self._written.items() if n in needed or w is self.last}
            checkpoint.prune(self.root, list(self._written.values()), CURVE_FILES)

    def upload(self, ref: CheckpointRef, run_id: str, tracker: Tracker) -> bool:
        """Store a written checkpoint in the trial's run; False where a newer one has taken its place."""
        with self._lock:
            written = self._written.get(ref.name)
            self._uploading = ref.name
        if written is None:
            return False
        try:
            needed = [*written.files, written.name]
            if run_id != self._run_id:  # a new run, where the one before was deleted, has none of them
                self._run_id, self._uploaded = run_id, set()
            new = [path for path in needed if path not in self._uploaded]
            artifacts = f"{ARTIFACTS}/{self._prefix}"
            # The manifest last: where it is, everything it names is.
            for path in new:
                tracker.upload(run_id, {f"{artifacts}/{path}": self.root / path})
            self._uploaded.update(new)
            self._newest = needed
        finally:
            with self._lock:
                self._uploading = None
        return True

    def prune_uploaded(self, lease: Lease, run_id: str, tracker: Tracker) -> None:
        """Delete files from the run that neither the newest upload nor a checkpoint recorded as uploaded needs."""
        recorded = {ref.name for ref in lease.checkpoints if ref.uri is not None}
        with self._lock:
            kept = [w for name, w in self._written.items() if name in recorded]
        still = {path for w in kept for path in (*w.files, w.name)} | set(self._newest)
        for path in sorted(self._uploaded - still):
            tracker.delete(run_id, f"{ARTIFACTS}/{self._prefix}/{path}")
            self._uploaded.discard(path)


CURVE_FILES = ("curve.jsonl", "curve.sent")
"""Files of the spool, which lie in the same folder and belong to no checkpoint."""
