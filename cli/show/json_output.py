"""JSON for other programs: plain data with NaN and infinities as null."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import typer

from cli.show import stdout


def show(value: Any) -> None:
    """Print it."""
    typer.echo(json.dumps(plain(value), indent=2, allow_nan=False), stdout.stream())


def show_line(value: Any) -> None:
    """Print it as one line and flush, so that a pipe delivers it at once."""
    typer.echo(json.dumps(plain(value), allow_nan=False), stdout.stream())
    stdout.stream().flush()


def plain(value: Any) -> Any:
    """Dataclasses, mappings and sequences as what JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
