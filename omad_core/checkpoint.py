"""Checkpoints: folders of safetensors and JSON, written atomically, verified when read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omad_core.state import MemberState


@dataclass(frozen=True)
class Written:
    """One checkpoint on disk, below its root."""

    name: str
    """Path of its manifest relative to the root, such as `step-00012000/manifest.json`."""
    step: int
    """Environment steps of the member that is furthest behind."""
    digest: str
    """SHA-256 of the manifest, which holds the digests of all other files."""
    files: Mapping[str, str]
    """Every file it needs, replay segments included: path relative to the root -> SHA-256."""


def write(root: Path, states: Sequence[MemberState], extra: Mapping[str, bytes] | None = None) -> Written:
    """Write members (the seeds of a trial) and `extra` files as one checkpoint; only new replay rows cost."""
    raise NotImplementedError


def needs(root: Path, name: str, digest: str) -> Mapping[str, str]:
    """Files that the checkpoint whose manifest lies at `name` needs. Raises CheckpointError."""
    raise NotImplementedError


def read(root: Path, name: str, digest: str) -> tuple[list[MemberState], dict[str, bytes]]:
    """Members and extra files, every digest verified. Raises CheckpointError; nothing is half loaded."""
    raise NotImplementedError


def prune(root: Path, keep: Sequence[str]) -> list[str]:
    """Delete checkpoints other than those whose manifests are in `keep`, and segments none of them needs.

    Returns the deleted paths, relative to the root.
    """
    raise NotImplementedError
