"""Desk: what all parts of one worker share: the study, where it writes to, and how long it may take."""

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
from search.errors import LeaseLost
from search.records.home import Home
from search.records.keeping import Loaded, load_newest
from search.records.overview import parent_info
from search.records.recording import Rooms
from search.slots import slots
from search.slots.claim import Claimant
from search.slots.keys import COURSE
from search.slots.lease import Lease
from search.slots.ledger import Hold, Ledger
from search.slots.study import StudyHandle, optuna_study
from search.spec.pruners import build_pruner
from search.spec.samplers import build_sampler
from search.spec.spec import StudySpec
from search.storage.patience import patiently
from search.storage.store import Store
from tracking.provenance import provenance, source_tags
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
class Place:
    """Where a worker runs."""

    home: Home
    device: str = "cpu"
    pack: int = 1
    """Trials trained side by side."""
    name: str = ""


class Desk:
    """One worker's study, its rooms, and its time."""

    def __init__(
        self, store: Store, handle: StudyHandle, tracker: Tracker, place: Place, patience_seconds: float
    ) -> None:
        self.store, self.handle, self.place = store, handle, place
        self.spec = StudySpec.from_json(handle.spec)
        self.owner = place.name or f"{socket.gethostname()}:{os.getpid()}"
        spec = self.spec
        self.claimant = Claimant(self.owner, spec.lease_seconds, spec.max_attempts, handle.tracking_run)
        ledger = Ledger(store, self.spec.lease_seconds, patience_seconds)
        self.rooms = Rooms(store, ledger, tracker, Sender(), patience_seconds)
        self.parent = parent_info(self.spec, handle, store.address)
        self._facts = provenance()
        self._leave_by: float | None = None

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Note that it is to leave within the grace; safe in a signal handler."""
        self._leave_by = time.monotonic() + grace_seconds * GRACE_SHARE

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
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
        """The action's answer, tried again while the storage is away, as long as there is time."""
        return patiently(action, self.left(self.rooms.patience_seconds))

    def send(self, seconds: float, keep: Callable[[], None]) -> bool:
        """Give the sender this time, trying again every second, while `keep` keeps leases; whether all is sent."""
        end = time.monotonic() + self.left(seconds)
        while not self.rooms.sender.drain(min(IDLE_SECONDS, end - time.monotonic())):
            if time.monotonic() >= end:
                return False
            keep()
        return True

    def optuna(self, slot: int) -> optuna.Study:
        """The Optuna study with the sampler of this slot."""
        spec = self.spec
        sampler = build_sampler(spec.sampler, spec.seed, slot, spec.space.paths)
        pruner = build_pruner(spec.pruner, spec.config)
        return self.patiently(lambda: optuna_study(self.store, self.handle, sampler, pruner))

    def folder(self, lease: Lease) -> Path:
        """Folder of a slot on this machine."""
        return self.place.home.slot(self.spec.name, self.handle.uid, lease.number)

    def load(self, hold: Hold) -> Loaded | None:
        """The newest checkpoint that can be had; fetching it keeps the lease. Raises TrackingUnavailable."""
        told = partial(self.rooms.ledger.tell, hold)
        return load_newest(hold.lease, self.folder(hold.lease), self.place.home, self.rooms.tracker, told)

    def give_back(self, lease: Lease) -> None:
        """Release a slot, if it is still ours."""
        try:
            self.patiently(lambda: slots.release(self.store, lease))
        except LeaseLost as error:
            log.warning("%s", error)

    def run_info(self, lease: Lease, trial: Trial | FrozenTrial, config: TrainConfig) -> RunInfo:
        """What is known of a trial's run when it is opened."""
        return RunInfo(
            name=f"trial {trial.number}",
            study=self.spec.name,
            study_id=self.handle.uid,
            slot=lease.number,
            course=course_name(trial.number, trial.user_attrs.get(COURSE)),
            params=trial.params,
            tags=self._tags(lease, trial.number),
            documents={"config.json": settings.to_dict(config), "provenance.json": self._facts},
        )

    def _tags(self, lease: Lease, number: int) -> Mapping[str, str]:
        own: dict[str, Any] = {
            "task": self.spec.task,
            "trial": number,
            "profile": self.spec.profile,
            "worker": self.owner,
            "device": self.place.device,
            "attempt": lease.attempt,
            "seeds": " ".join(map(str, self.spec.training_seeds)),
        }
        return {f"omad.{name}": str(value) for name, value in own.items()} | source_tags(self._facts)


def course_name(trial: int, restarted: int | None) -> str:
    """Names a trial's run among those of its slot: retried and restarted ones get new runs."""
    return str(trial) if restarted is None else f"{trial}-{restarted}"
