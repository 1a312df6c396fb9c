"""Lease: one slot in the hands of one worker, and the rows that everybody may read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from search.slots.keys import MODEL
from search.storage.tables import Slot

SlotState = Literal["open", "leased", "done", "failed"]
Outcome = Literal["complete", "pruned", "diverged", "failed"]
Wanted = Literal["running", "paused", "stopping", "moving", "moved"]
"""What workers are to do; those of a study that is moved, or was moved to another storage, leave."""
HERE: tuple[Wanted, ...] = ("running", "paused", "stopping")
AWAY: tuple[Wanted, ...] = ("moving", "moved")
"""Of a study that nobody may work at or change: it is on its way, or elsewhere."""

LEASE_SECONDS = 60.0
"""How long a worker may be silent before its slot is anybody's."""
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
    return Lease(
        study_id=slot.study_id,
        number=slot.number,
        token=slot.token,
        owner=slot.owner,
        attempt=slot.attempt,
        trial_id=slot.trial_id,
        retry_of=slot.retry_of,
        checkpoints=refs(slot.checkpoints),
        mlflow_run_id=slot.mlflow_run_id,
        outcome=slot.outcome,
        value=slot.value,
        reason=slot.reason,
    )


def refs(stored: Sequence[Mapping[str, Any]]) -> tuple[CheckpointRef, ...]:
    """Checkpoints as stored on a slot."""
    return tuple(CheckpointRef(**item) for item in stored)


def stored(checkpoints: Sequence[CheckpointRef]) -> list[dict[str, Any]]:
    """Checkpoints as JSON."""
    return [asdict(item) for item in checkpoints]


COLUMNS = tuple(Slot.__table__.columns)
"""All columns of a slot, for statements that make a Lease or a SlotRow."""
