"""Faults: what becomes of a trial and its worker when something goes wrong, decided in this one place.

The table of docs/faults.md says the same, with what becomes of the study and the exit code.
"""

import errno
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import psutil

from omad_core.errors import EnvironmentFailed, NotFinite, OmadError, TaskError
from tracking.errors import TrackingError

TrialFate = Literal["diverged", "tried again", "given back"]
"""Ended with what is known; tried again until `max_attempts` are used; released, with no attempt counted."""


@dataclass(frozen=True)
class Consequence:
    """What one kind of fault does."""

    trial: TrialFate
    worker_ends: bool = False
    """With code 1."""
    starts_again: bool = True
    """Whether a supervisor starts a worker that ended so again."""


FAULTS: Mapping[str, Consequence] = {
    "not finite": Consequence("diverged"),
    "raises": Consequence("tried again"),
    "exits": Consequence("tried again"),
    # The next worker that claims the slot counts it: this process is gone.
    "crashes": Consequence("tried again", worker_ends=True),
    "hangs": Consequence("tried again", worker_ends=True),
    "breaks the device": Consequence("tried again", worker_ends=True),
    "disk full": Consequence("given back", worker_ends=True, starts_again=False),
    "read-only": Consequence("given back", worker_ends=True, starts_again=False),
    "too many open files": Consequence("given back", worker_ends=True),
    "out of memory": Consequence("given back", worker_ends=True),
    "disk broken": Consequence("given back", worker_ends=True, starts_again=False),
    "device gone": Consequence("given back", worker_ends=True, starts_again=False),
}
"""By the kind of fault, as `kind_of` names it."""

MACHINE_ERRORS: Mapping[int, str] = {
    errno.ENOSPC: "disk full",
    errno.EDQUOT: "disk full",
    errno.EFBIG: "disk full",
    errno.EROFS: "read-only",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files",
    errno.ENOMEM: "out of memory",
    errno.EIO: "disk broken",
}
"""Never the fault of a trial, whichever code met them."""
OUR_FILES_ERRORS: Mapping[int, str] = {errno.EACCES: "read-only", errno.EPERM: "read-only"}
"""The machine's where our own files met them; an environment may ask for what is forbidden everywhere."""

SCARCE_MEMORY = 0.1
"""Share of a machine's memory: with less of it free, an allocation that fails is the machine's fault."""
PROBE_SECONDS = 120.0


def kind_of(error: BaseException, device: str) -> str:
    """The kind of fault that an error is, a key of FAULTS."""
    causes = list(_causes(error))
    foreign = any(isinstance(cause, (TaskError, EnvironmentFailed)) for cause in causes)
    known = MACHINE_ERRORS if foreign else {**MACHINE_ERRORS, **OUR_FILES_ERRORS}
    for cause in causes:
        if isinstance(cause, OSError) and (kind := known.get(cause.errno or 0)):
            return kind
        if isinstance(cause, NotFinite):
            return "not finite"
        if isinstance(cause, MemoryError) and _memory_is_scarce():
            return "out of memory"
        if isinstance(cause, (SystemExit, KeyboardInterrupt)):
            return "exits"
    if device != "cpu" and not _answers(device):
        return "breaks the device" if _answers_others(device) else "device gone"
    return "raises"


def reason_of(error: BaseException) -> str:
    """One line for the slot; errors that are not ours come with their type."""
    text = " ".join(str(error).split())
    return text if isinstance(error, (OmadError, TrackingError)) else f"{type(error).__name__}: {text}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _memory_is_scarce() -> bool:
    memory = psutil.virtual_memory()
    return bool(memory.available < SCARCE_MEMORY * memory.total)


def _answers(device: str) -> bool:
    """Whether this process can still compute on its device."""
    import torch

    try:
        return bool(torch.ones(1, device=device).add(1.0).item() == 2.0)
    except (RuntimeError, AssertionError):  # the latter from a torch that was built without GPUs
        return False


def _answers_others(device: str) -> bool:
    """Whether another process can: an error of one kernel makes a GPU useless to its own process alone."""
    code = f"import torch; torch.ones(1, device={device!r}).add(1.0).item()"
    try:
        return (
            subprocess.run(
                [sys.executable, "-P", "-c", code], timeout=PROBE_SECONDS, capture_output=True
            ).returncode
            == 0
        )
    except (OSError, subprocess.SubprocessError):
        return False
