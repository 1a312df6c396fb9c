"""Lease: one slot held by one worker, and the rows of slots for readers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from search.slots.keys import MODEL
from search.storage.tables import Slot

SlotState = Literal["open", "leased", "done", "failed"]
Outcome = Literal["complete", "pruned", "diverged", "failed"]
DesiredState = Literal["running", "paused", "stopping", "moving", "moved"]
"""What workers are to bring a study to; they leave one that is being moved, or was moved to another storage."""
HERE: tuple[DesiredState, ...] = ("running", "paused", "stopping")
MOVE_STATES: tuple[DesiredState, ...] = ("moving", "moved")
"""Of a study that may not be worked on or changed: it is being moved, or was."""

LEASE_SECONDS = 60.0
"""How long a worker may be silent before its slot may be claimed by others."""
MAX_ATTEMPTS = 5
"""Claims without a newer checkpoint after which a slot is failed."""


@dataclass(frozen=True)
class CheckpointRef:
    """Where one checkpoint of a trial lies; recording it on the slot is what makes it count."""

    step: int
    """Environment steps of the trial."""
    name: str
    digest: str
    home: str
    """Machine and folder it was written on."""
    uri: str | None = None
    """Where others can read it; None while it is not uploaded."""


@dataclass(frozen=True)
class Lease:
    """The right to train (or, of a finished slot, to publish) one slot, until a higher token exists."""

    study_id: int
    number: int
    token: int
    owner: str
    attempt: int
    """1 for the first claim since the last newer checkpoint or voluntary release."""
    trial_id: int | None
    retry_of: int | None
    checkpoints: tuple[CheckpointRef, ...]
    """Newest first."""
    mlflow_run_id: str | None
    outcome: Outcome | None
    """None while it trains; of a slot to be published, how it ended."""
    value: float | None
    reason: str | None


@dataclass(frozen=True)
class SlotRow:
    """One slot as `status` shows it."""

    number: int
    state: SlotState
    token: int
    owner: str | None
    expires_in: float | None
    """Seconds to the end of the lease; negative when it has run out."""
    attempt: int
    trial_id: int | None
    retry_of: int | None
    checkpoints: tuple[CheckpointRef, ...]
    mlflow_run_id: str | None
    outcome: Outcome | None
    value: float | None
    reason: str | None
    published: bool
    progress: Mapping[str, Any]

    @property
    def model_uri(self) -> str | None:
        """Address of its published model; None where it has none."""
        return self.progress.get(MODEL)


def lease_of(slot: Any) -> Lease:
    """The lease that a row of `omad_slot`, just claimed, stands for."""
    return Lease(**_values(Lease, slot))


def slot_row(slot: Any) -> SlotRow:
    """The slot of a row of `omad_slot` that was selected with `expires_in`."""
    return SlotRow(**_values(SlotRow, slot))


def _values(kind: type[Any], slot: Any) -> dict[str, Any]:
    """The columns that a Lease or SlotRow has, by name."""
    values = {field.name: getattr(slot, field.name) for field in fields(kind)}
    return {**values, "checkpoints": checkpoints_from_json(slot.checkpoints)}


def checkpoints_from_json(stored: Sequence[Mapping[str, Any]]) -> tuple[CheckpointRef, ...]:
    """Checkpoints as stored on a slot."""
    return tuple(CheckpointRef(**item) for item in stored)


def checkpoints_to_json(checkpoints: Sequence[CheckpointRef]) -> list[dict[str, Any]]:
    """Checkpoints as JSON."""
    return [asdict(item) for item in checkpoints]


COLUMNS = tuple(Slot.__table__.columns)
"""All columns of a slot, for statements that make a Lease or a SlotRow."""
