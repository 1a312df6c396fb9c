"""Batches as large as MLflow takes them: 1,000 metrics, 100 parameters, 100 tags, a megabyte."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from mlflow.entities import Metric, Param, RunTag

from tracking.mlflow.names import Entry, safe_name
from tracking.row import Row

METRICS_PER_BATCH = 1_000
ENTRIES_PER_BATCH = 100
BYTES_PER_BATCH = 900_000  # of 1,000,000: the request has a frame
_FRAME_BYTES = 120  # what JSON needs beside a metric's name

Item = TypeVar("Item")


def metrics(rows: Iterable[Row]) -> Iterator[list[Metric]]:
    """Batches of metrics, in the order of their rows."""
    points = (
        Metric(safe_name(name), number(value), row.time_ms, row.step)
        for row in rows
        for name, value in row.metrics.items()
    )
    return of_metrics(points)


def of_metrics(points: Iterable[Metric]) -> Iterator[list[Metric]]:
    """Batches of MLflow's own metrics."""
    return _batches(points, METRICS_PER_BATCH, lambda metric: 6 * len(metric.key) + _FRAME_BYTES)


def params(entries: Sequence[Entry]) -> Iterator[list[Param]]:
    """Batches of parameters."""
    for batch in _batches(entries, ENTRIES_PER_BATCH, _entry_bytes):
        yield [Param(entry.name, entry.value) for entry in batch]


def tags(entries: Sequence[Entry]) -> Iterator[list[RunTag]]:
    """Batches of tags."""
    for batch in _batches(entries, ENTRIES_PER_BATCH, _entry_bytes):
        yield [RunTag(entry.name, entry.value) for entry in batch]


def _entry_bytes(entry: Entry) -> int:
    return len(json.dumps(entry.name)) + len(json.dumps(entry.value)) + _FRAME_BYTES


def number(value: float) -> float:
    """A float; integers too large for one are infinite."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _batches(
    items: Iterable[Item], most: int, size: Callable[[Item], int], most_bytes: int = BYTES_PER_BATCH
) -> Iterator[list[Item]]:
    batch: list[Item] = []
    total = 0
    for item in items:
        item_size = size(item)
        if batch and (len(batch) == most or total + item_size > most_bytes):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += item_size
    if batch:
        yield batch
