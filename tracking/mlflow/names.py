"""Names and values as MLflow takes them; the original of what had to be changed is returned with it."""

import hashlib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

LONGEST_NAME = 250
LONGEST_PARAM = 6_000
LONGEST_TAG = 8_000
_FORBIDDEN = re.compile(r"[^/\w.\- :]")
_FORBIDDEN_IN_MODELS = re.compile(r"[^\w\- ]")
_MARK_LENGTH = 9


@dataclass(frozen=True)
class Entry:
    """A parameter or tag as it is stored."""

    name: str
    value: str
    original: tuple[str, str] | None
    """The name and value that were given, where MLflow cannot take them."""


def entries(given: Mapping[str, Any], longest_value: int) -> list[Entry]:
    """Parameters or tags that MLflow takes, whatever was given."""
    return [_entry(str(name), _text(value), longest_value) for name, value in given.items()]


@lru_cache(maxsize=10_000)
def safe_name(name: str) -> str:
    """The name, if MLflow takes it as it is, else one like it with a mark that keeps it unique."""
    clean = posixpath.normpath("/" + _FORBIDDEN.sub("_", name)).lstrip("/")
    if clean == name and 0 < len(name) <= LONGEST_NAME:
        return name
    return clean[: LONGEST_NAME - _MARK_LENGTH] + _mark(name)


def model_name(name: str) -> str:
    """A name for models, where MLflow takes neither slashes nor dots, colons, quotes and percent signs."""
    clean = _FORBIDDEN_IN_MODELS.sub("-", name)
    return clean if clean == name else clean[: LONGEST_NAME - _MARK_LENGTH] + _mark(name)


def file_name(name: str) -> str:
    """A short file name for what belongs to a name, different for different names."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:60] + _mark(name)


def _entry(name: str, value: str, longest_value: int) -> Entry:
    stored_name, stored_value = safe_name(name), _storable(value)[:longest_value]
    same = (stored_name, stored_value) == (name, value)
    return Entry(stored_name, stored_value, None if same else (name, value))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _storable(value: str) -> str:
    """Without what databases cannot store: null characters and halves of surrogate pairs."""
    return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _mark(name: str) -> str:
    return "-" + hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[: _MARK_LENGTH - 1]
