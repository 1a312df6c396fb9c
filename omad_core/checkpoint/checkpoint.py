"""Checkpoints: folders of safetensors and JSON, written atomically, verified when read.

    root/replay/0-1a2b3c4d5e6f.safetensors     append-only stretches of a member's replay, named by their digest
    root/step-000012000/member-0.safetensors   all other arrays of a member
    root/step-000012000/manifest.json          everything else, and the digest of every file it needs

A replay stretch is stored once and shared by all later checkpoints, so that a checkpoint costs what is new.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from omad_core.checkpoint.files import pack, read_bytes, read_json, to_json, unpack, write_bytes
from omad_core.checkpoint.replay_segments import MARKS, SEGMENT, read_replay, write_replay
from omad_core.checkpoint.state import MemberState
from omad_core.errors import CheckpointError
from omad_core.settings import to_dict
from omad_core.stored_settings import resolved, train_config

FORMAT = 1
KIND = "omad-checkpoint"


@dataclass(frozen=True)
class StoredCheckpoint:
    """One checkpoint on disk, below its root."""

    name: str
    """Path of its manifest relative to the root, such as `step-000012000/manifest.json`."""
    step: int
    """Environment steps of the member that is furthest behind."""
    digest: str
    """SHA-256 of the manifest, which holds the digests of all other files."""
    files: Mapping[str, str]
    """Every file it needs beside the manifest, replay included: path relative to the root -> SHA-256."""
    stored: tuple[tuple[int, int], ...]
    """For each member (replay.stop, replay.finals_stop): what the next snapshot may leave out."""
    segments: tuple[tuple[Mapping[str, Any], ...], ...]
    """For each member its replay stretches."""


def write(
    root: Path,
    states: Sequence[MemberState],
    extra: Mapping[str, bytes] | None = None,
    previous: StoredCheckpoint | None = None,
) -> StoredCheckpoint:
    """Write members (the seeds of a trial) and `extra` files as one checkpoint.

    States may leave out the replay rows that `previous` (below the same root) stored. Raises CheckpointError
    where a file cannot be written, or replay rows are in neither.
    """
    step = min(state.counters["vector_steps"] * state.config.num_envs for state in states)
    folder = f"step-{step:09d}"
    files: dict[str, str] = {}
    members = []
    for number, state in enumerate(states):
        before = previous.segments[number] if previous else ()
        segments = write_replay(root, number, state.replay, before, previous.files if previous else {}, files)
        path = f"{folder}/member-{number}.safetensors"
        files[path] = write_bytes(root / path, pack(state.arrays))
        members.append(_describe(state, path, segments))
    for name, content in (extra or {}).items():
        files[f"{folder}/{name}"] = write_bytes(root / folder / name, content)
    document = {
        "kind": KIND,
        "format": FORMAT,
        "step": step,
        "members": members,
        "extra": {name: f"{folder}/{name}" for name in extra or {}},
        "files": files,
    }
    name = f"{folder}/manifest.json"
    return _written(name, document, write_bytes(root / name, to_json(document)))


def _describe(state: MemberState, path: str, segments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A member's entry in the manifest."""
    return {
        "config": to_dict(resolved(state.config)),
        "counters": dict(state.counters),
        "records": dict(state.records),
        "arrays": path,
        "replay": {mark: getattr(state.replay, mark) for mark in MARKS} | {"segments": list(segments)},
    }


def _written(name: str, document: Mapping[str, Any], manifest_digest: str) -> StoredCheckpoint:
    """A checkpoint by its manifest. Raises KeyError, TypeError where that lacks something."""
    members = document["members"]
    return StoredCheckpoint(
        name=name,
        step=document["step"],
        digest=manifest_digest,
        files=document["files"],
        stored=tuple((m["replay"]["stop"], m["replay"]["finals_stop"]) for m in members),
        segments=tuple(
            tuple({key: segment[key] for key in SEGMENT} for segment in m["replay"]["segments"])
            for m in members
        ),
    )


def open_manifest(root: Path, name: str, expected: str) -> StoredCheckpoint:
    """What the checkpoint whose manifest lies at `name` needs. Raises CheckpointError."""
    return _written(name, _manifest(root, name, expected), expected)


def _manifest(root: Path, name: str, expected: str) -> dict[str, Any]:
    """A manifest with this digest, all of whose files lie below the root. Raises CheckpointError."""
    path = _inside(root, name)
    document = read_json(read_bytes(path, expected), str(path), KIND, FORMAT)
    try:
        for needed in document["files"]:
            _inside(root, needed)
        _written(name, document, expected)
    except (KeyError, TypeError) as error:
        raise _unreadable(path, error) from error
    return document


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is not a checkpoint this release can read: {error!r}")


def _inside(root: Path, name: str) -> Path:
    """The file that a manifest names. Raises CheckpointError where it lies outside the root."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise CheckpointError(f"a checkpoint names the file {name!r}, outside its folder")
    return root / pure


def read(root: Path, name: str, expected: str) -> tuple[list[MemberState], dict[str, bytes]]:
    """Members and extra files, every digest verified. Raises CheckpointError; nothing is half loaded."""
    document = _manifest(root, name, expected)
    contents = {path: read_bytes(_inside(root, path), sha) for path, sha in document["files"].items()}
    try:
        states = [_member(member, contents) for member in document["members"]]
        extra = {file: contents[path] for file, path in document["extra"].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _unreadable(root / name, error) from error
    return states, extra


def _member(member: Mapping[str, Any], contents: Mapping[str, bytes]) -> MemberState:
    return MemberState(
        config=train_config(member["config"]),
        counters=member["counters"],
        arrays=unpack(contents[member["arrays"]], member["arrays"]),
        records=member["records"],
        replay=read_replay(member["replay"], contents),
    )


def intact(path: Path, expected: str) -> bool:
    """Whether a file is there with this digest."""
    try:
        read_bytes(path, expected)
    except CheckpointError:
        return False
    return True


def prune(root: Path, keep: Sequence[StoredCheckpoint], spare: Sequence[str] = ()) -> list[str]:
    """Delete everything below the root that none of the checkpoints in `keep` needs, less the files `spare`.

    Returns the deleted paths, relative to the root.
    """
    needed = {path for written in keep for path in (*written.files, written.name)} | set(spare)
    deleted = []
    for path in sorted(root.rglob("*")) if root.exists() else []:
        relative = path.relative_to(root).as_posix()
        if path.is_file() and relative not in needed and not path.name.endswith(".tmp"):
            path.unlink(missing_ok=True)
            deleted.append(relative)
    for folder in sorted((p for p in root.glob("*") if p.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)
    return deleted
