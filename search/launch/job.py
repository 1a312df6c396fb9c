"""Jobs: workers of one study, to be started by what a user has already; queue, placement and restarts are theirs."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.errors import SearchError

LEAVE_SECONDS = 10
"""What a worker and its supervisor may take beyond the grace."""


class LaunchRefused(SearchError):
    """Workers cannot be started this way here; the sentence says what is missing."""


@dataclass(frozen=True)
class Job:
    """Workers of one study, wherever they run; addresses travel in the environment."""

    study: str
    workers: int
    environment: Mapping[str, str] = field(default_factory=dict)
    cpus: int = 1
    gpus: float = 0.0
    """GPUs a worker; 0.5 puts two workers on one, where the scheduler can share it."""
    grace_seconds: int = 30

    @property
    def argv(self) -> list[str]:
        """A worker's command line, without the interpreter: supervised, so that a hung one is replaced."""
        device = "0" if self.gpus else "cpu"  # schedulers show a job no other GPUs than its own
        options = ["--workers", "1", "--devices", device, "--threads", str(self.cpus)]
        # -P and this module: what the user has in that folder or on PYTHONPATH stands in for nothing of ours.
        return ["-P", "-m", "omad_search", "worker", self.study, *options, "--grace", str(self.grace_seconds)]


def import_required(name: str, extra: str) -> Any:
    """Import a library that `extra` installs. Raises LaunchRefused where it is missing."""
    try:
        module = importlib.import_module(name)
        if name == "submitit":
            importlib.import_module("submitit.helpers")
    except ImportError as error:
        raise LaunchRefused(
            f"{name} cannot be imported ({error}); install it with: pip install 'omad-search[{extra}]'"
        ) from None
    return module


def command_line(argv: Sequence[str]) -> str:
    """A worker's command as it would run."""
    return " ".join(["python", *argv])
