"""WorkerContext: what the parts of one worker share: its study, its storage and tracking server, its time."""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.trial import FrozenTrial, Trial

from omad_core import settings
from omad_core.config import TrainConfig
from search.checkpoints.store import LoadedCheckpoint, load_newest
from search.checkpoints.workdir import Workdir
from search.errors import LeaseLost
from search.launch.watchdog import Watchdog
from search.recording.study_run import parent_info
from search.slots import lease_writes
from search.slots.claim import Claimant
from search.slots.keys import GENERATION
from search.slots.lease import Lease
from search.slots.lease_keeper import HeldLease, LeaseKeeper
from search.slots.studies import StudyHandle, optuna_study
from search.storage.patience import patiently
from search.storage.store import Store
from search.study.confirmation import training_name
from search.study.pruners import build_pruner
from search.study.samplers import build_sampler
from search.study.study_spec import StudySpec
from tracking.machine.provenance import provenance, source_tags
from tracking.machine.system import SystemWatch
from tracking.sender import Sender
from tracking.tracker import RunInfo, Tracker

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
DRAIN_SECONDS = 30.0
GRACE_SECONDS = 30.0
"""Time from SIGTERM to SIGKILL where nothing else is known: what schedulers commonly give."""
GRACE_SHARE = 0.8
"""Of it, what checkpoints and releases may take; the rest is for the process to end."""

T = TypeVar("T")


@dataclass(frozen=True)
class WorkerLocation:
    """Where a worker runs."""

    workdir: Workdir
    device: str = "cpu"
    pack: int = 1
    """Trials trained side by side."""
    name: str = ""


class WorkerContext:
    """One worker's study, the storage and tracking server it writes to, and the time it has."""

    def __init__(
        self,
        store: Store,
        handle: StudyHandle,
        tracker: Tracker,
        location: WorkerLocation,
        patience_seconds: float,
        watchdog: Watchdog | None = None,
    ) -> None:
        self.store, self.handle, self.location = store, handle, location
        self.spec = StudySpec.from_json(handle.spec)
        self.owner = location.name or f"{socket.gethostname()}:{os.getpid()}"
        spec = self.spec
        self.claimant = Claimant(self.owner, spec.lease_seconds, spec.max_attempts, handle.tracking_run)
        self.lease_keeper = LeaseKeeper(store, spec.lease_seconds, patience_seconds)
        self.tracker, self.sender, self.patience_seconds = tracker, Sender(), patience_seconds
        self.watch, self.watchdog = SystemWatch(), watchdog or Watchdog()
        self.parent = parent_info(self.spec, handle, store.address)
        self._facts = provenance()
        self._leave_by: float | None = None

    def close(self) -> None:
        """End its threads; what the sender could not send is left on this machine."""
        self.sender.close(IDLE_SECONDS)
        self.lease_keeper.close()
        self.watch.close()

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Have the worker end within the grace; safe in a signal handler."""
        self._leave_by = time.monotonic() + grace_seconds * GRACE_SHARE

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._leave_by is not None

    @property
    def late(self) -> bool:
        """Whether the grace is used up."""
        return self._leave_by is not None and time.monotonic() > self._leave_by

    def left(self, seconds: float) -> float:
        """These seconds, or what is left of the grace."""
        if self._leave_by is None:
            return seconds
        return max(0.1, min(seconds, self._leave_by - time.monotonic()))

    def patiently(self, action: Callable[[], T]) -> T:
        """The result of an action, which is retried while the storage is unavailable and the grace lasts."""
        return patiently(action, self.left(self.patience_seconds))

    def send(self, seconds: float, keep: Callable[[], None]) -> bool:
        """Wait for the sender, calling `keep` every second to renew leases; whether everything was sent in time."""
        end = time.monotonic() + self.left(seconds)
        while not self.sender.drain(min(IDLE_SECONDS, end - time.monotonic())):
            if time.monotonic() >= end:
                return False
            keep()
        return True

    def optuna(self, slot: int) -> optuna.Study:
        """The Optuna study with the sampler of this slot."""
        spec = self.spec
        sampler = build_sampler(spec.sampler, spec.seed, slot, spec.space.parameters)
        pruner = build_pruner(spec.pruner, spec.config)
        return self.patiently(lambda: optuna_study(self.store, self.handle, sampler, pruner))

    def folder(self, lease: Lease) -> Path:
        """Folder of a slot on this machine."""
        return self.location.workdir.slot(self.spec.name, self.handle.uid, lease.number)

    def load(self, held_lease: HeldLease) -> LoadedCheckpoint | None:
        """The newest checkpoint that can be read; fetching it renews the lease. Raises TrackingUnavailable."""
        note_progress = partial(self.lease_keeper.note_progress, held_lease)
        folder, workdir = self.folder(held_lease.lease), self.location.workdir
        return load_newest(held_lease.lease, folder, workdir, self.tracker, note_progress)

    def give_back(self, lease: Lease) -> None:
        """Release a slot, unless the lease was lost."""
        try:
            self.patiently(lambda: lease_writes.release(self.store, lease))
        except LeaseLost as error:
            log.warning("%s", error)

    def run_info(self, lease: Lease, trial: Trial | FrozenTrial, config: TrainConfig) -> RunInfo:
        """What is known of a trial's run when it is opened."""
        spec = self.spec
        return RunInfo(
            name=training_name(trial.number, trial.params) if spec.parent else f"trial {trial.number}",
            study=spec.experiment,
            study_id=self.handle.uid,
            slot=lease.number,
            generation=generation_name(trial.number, trial.user_attrs.get(GENERATION)),
            params=spec.searched(config) | trial.params if spec.parent else spec.space.settings(trial.params),
            tags=self._tags(lease, trial.number, config),
            documents={"config.json": settings.to_dict(config), "provenance.json": self._facts},
        )

    def _tags(self, lease: Lease, number: int, config: TrainConfig) -> Mapping[str, str]:
        seeds = (config.seed,) if self.spec.parent else self.spec.training_seeds
        tags: dict[str, Any] = {
            "kind": self.spec.kind,
            "task": self.spec.task,
            "trial": number,
            "profile": self.spec.profile,
            "worker": self.owner,
            "device": self.location.device,
            "attempt": lease.attempt,
            "seeds": " ".join(map(str, seeds)),
        }
        return {f"omad.{name}": str(value) for name, value in tags.items()} | source_tags(self._facts)


def generation_name(trial: int, restarted: int | None) -> str:
    """Names a trial's run among those of its slot: retried and restarted ones get new runs."""
    return str(trial) if restarted is None else f"{trial}-{restarted}"
