"""Folders of safetensors and JSON: atomic writes, digests, and one sentence for whatever is wrong with a file."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from omad_core.errors import CheckpointError

Arrays = dict[str, NDArray[np.generic]]


def write_bytes(path: Path, content: bytes) -> str:
    """Write a file under a temporary name, fsync it and rename it; returns its SHA-256. Raises CheckpointError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
        ) from error
    return digest(content)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(content: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def read_bytes(path: Path, expected: str | None = None) -> bytes:
    """A file's content, its digest verified. Raises CheckpointError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    if expected is not None and digest(content) != expected:
        raise CheckpointError(f"{path} was truncated or altered: its digest is not the one recorded")
    return content


def pack(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Arrays as safetensors."""
    return save_tensors({name: np.asarray(array, order="C") for name, array in arrays.items()})


def unpack(content: bytes, what: str) -> Arrays:
    """The inverse of `pack`. Raises CheckpointError."""
    try:
        return dict(load_tensors(content))
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{what} is not a safetensors file: {error}") from error


def to_json(document: Mapping[str, Any]) -> bytes:
    """A JSON document, keys sorted."""
    return json.dumps(document, sort_keys=True, indent=1).encode()


def read_json(content: bytes, what: str, kind: str, version: int) -> dict[str, Any]:
    """A JSON document of this kind and format version. Raises CheckpointError."""
    try:
        document = json.loads(content)
    except ValueError as error:
        raise CheckpointError(f"{what} is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != kind:
        raise CheckpointError(f"{what} is not an {kind}")
    if document.get("format") != version:
        raise CheckpointError(
            f"{what} has format {document.get('format')}, this release reads format {version}; "
            "use the release that wrote it"
        )
    return document
