"""Segments: a member's replay on disk, as append-only stretches that are stored once and shared by checkpoints."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omad_core.checkpoint.files import digest, pack, unpack, write_bytes
from omad_core.checkpoint.state import Arrays, ReplayRows
from omad_core.errors import CheckpointError

MARKS = ("oldest", "stop", "oldest_final", "finals_stop")
"""Of a member's rows, in a manifest."""
SEGMENT = ("path", "start", "stop", "finals_start", "finals_stop")
"""What a manifest says of one stretch."""


def write_replay(
    root: Path,
    number: int,
    rows: ReplayRows,
    before: Sequence[Mapping[str, Any]],
    known: Mapping[str, str],
    files: dict[str, str],
) -> list[Mapping[str, Any]]:
    """Store a member's new rows; returns the stretches that cover its window, and adds their digests to `files`.

    number: the member's in its trial; before: the stretches of its previous checkpoint; known: digests of its files.
    Raises CheckpointError where rows between both are missing.
    """
    kept = [s for s in before if s["stop"] > rows.oldest or s["finals_stop"] > rows.oldest_final]
    covered = max([s["stop"] for s in before], default=rows.oldest)
    if rows.start > max(covered, rows.oldest):
        raise CheckpointError(
            f"replay rows {covered} to {rows.start} are in no earlier checkpoint below {root}"
        )
    for segment in kept:
        files[segment["path"]] = known[segment["path"]]
    if rows.stop > rows.start or rows.finals_stop > rows.finals_start:
        kept.append(_write_segment(root, number, rows, files))
    return kept


def _write_segment(root: Path, number: int, rows: ReplayRows, files: dict[str, str]) -> dict[str, Any]:
    arrays = {f"frames/{k}": v for k, v in rows.frames.items()} | {
        f"finals/{k}": v for k, v in rows.finals.items()
    }
    content = pack(arrays)
    checksum = digest(content)
    path = f"replay/{number}-{checksum[:16]}.safetensors"
    files[path] = checksum
    if not (root / path).exists():
        write_bytes(root / path, content)
    return {
        "path": path,
        "start": rows.start,
        "stop": rows.stop,
        "finals_start": rows.finals_start,
        "finals_stop": rows.finals_stop,
    }


def read_replay(marks: Mapping[str, Any], contents: Mapping[str, bytes]) -> ReplayRows:
    """The rows of a window, from the marks and stretches of a manifest. Raises CheckpointError."""
    pieces = [(s, unpack(contents[s["path"]], s["path"])) for s in marks["segments"]]
    frames = [(s["start"], _part(arrays, "frames/")) for s, arrays in pieces]
    finals = [(s["finals_start"], _part(arrays, "finals/")) for s, arrays in pieces]
    return ReplayRows(
        oldest=marks["oldest"],
        start=marks["oldest"],
        stop=marks["stop"],
        frames=_join(frames, marks["oldest"], marks["stop"]),
        oldest_final=marks["oldest_final"],
        finals_start=marks["oldest_final"],
        finals_stop=marks["finals_stop"],
        finals=_join(finals, marks["oldest_final"], marks["finals_stop"]),
    )


def _part(arrays: Arrays, prefix: str) -> Arrays:
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


def _join(pieces: Sequence[tuple[int, Arrays]], start: int, stop: int) -> Arrays:
    """Stretches side by side, cut to [start, stop). Raises CheckpointError where they leave a gap."""
    if not pieces:
        return {}
    names = pieces[0][1]
    cut: dict[str, list[NDArray[np.generic]]] = {name: [] for name in names}
    at = start
    for first, arrays in pieces:
        count = len(next(iter(arrays.values())))
        low, high = max(at, first), min(stop, first + count)
        if low > at and high > low:
            raise CheckpointError(f"the checkpoint's replay has a gap from row {at} to {low}")
        if high > low:
            for name in names:
                cut[name].append(arrays[name][low - first : high - first])
            at = high
    if at < stop:
        raise CheckpointError(f"the checkpoint's replay ends at row {at} and should reach {stop}")
    return {name: np.concatenate(c) if c else pieces[0][1][name][:0] for name, c in cut.items()}
