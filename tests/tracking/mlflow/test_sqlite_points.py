"""Points written straight into MLflow's tables are the points that MLflow itself would have written."""

import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric

from tracking.errors import TrackingRefused
from tracking.mlflow import batches as mlflow_batches
from tracking.mlflow import sqlite_points as mlflow_points
from tracking.mlflow.sqlite_points import DirectPoints
from tracking.mlflow.tracker import MlflowTracker
from tracking.row import Row
from tracking.tracker import RunInfo

TIME = 1_700_000_000_000
ROWS = [
    Row(30, TIME + 3, {"a": 3.0, "b": math.nan, "odd {name}": 1.0}),
    Row(10, TIME + 1, {"a": 1.0, "b": 5.0, "c": math.inf}),
    Row(20, TIME + 2, {"a": 2.0, "c": -math.inf}),
    Row(30, TIME + 3, {"a": 3.5, "b": -1.0}),
    Row(30, TIME + 3, {"a": 3.0, "b": math.nan}),
    Row(40, TIME, {"a": 10**400, "d": 7}),
    Row(-5, TIME + 9, {"d": 1e-300}),
]


@pytest.fixture
def tracker(database_address: str) -> MlflowTracker:
    return MlflowTracker(database_address)


def run(tracker: MlflowTracker, study: str, slot: int) -> str:
    return tracker.open_run(RunInfo(f"trial {slot}", study, slot=slot))


def tables(tracker: MlflowTracker, run_id: str) -> list[list[Any]]:
    """What the database holds of a run's metrics, to the bit and the type."""
    columns = "key, step, timestamp, value, is_nan"
    types = ", ".join(f"typeof({name})" for name in columns.split(", "))
    with sqlite3.connect(tracker.address.removeprefix("sqlite:///")) as connection:
        found = [
            connection.execute(
                f"SELECT {columns}, {types} FROM {table} WHERE run_uuid = ? ORDER BY {columns}", (run_id,)
            ).fetchall()
            for table in ("metrics", "latest_metrics")
        ]
    connection.close()
    return found


@pytest.mark.parametrize("size", [1, 2, 3, len(ROWS)])
def test_the_tables_hold_what_mlflow_would_have_written(
    tracker: MlflowTracker, study: str, size: int
) -> None:
    ours, theirs = run(tracker, study, 0), run(tracker, study, 1)
    client = MlflowClient(tracker.address)
    direct = DirectPoints(Path(tracker.address.removeprefix("sqlite:///")))
    for _ in range(2):
        for begin in range(0, len(ROWS), size):
            piece = ROWS[begin : begin + size]
            assert direct.write(ours, piece)
            for batch in mlflow_batches.metrics(piece):
                client.log_batch(theirs, metrics=batch)
    found = tables(tracker, ours)
    assert found == tables(tracker, theirs)
    assert [len(table) for table in found] == [13, 5]


def test_mlflow_reads_and_continues_what_was_written(tracker: MlflowTracker, study: str) -> None:
    run_id, client = run(tracker, study, 0), MlflowClient(tracker.address)
    tracker.log_rows(run_id, [Row(10, TIME, {"a": 1.0}), Row(20, TIME, {"a": 2.0})])
    client.log_batch(run_id, metrics=[Metric("a", 2.0, TIME, 20), Metric("a", 3.0, TIME, 30)])
    assert [(p.step, p.value) for p in client.get_metric_history(run_id, "a")] == [
        (10, 1.0),
        (20, 2.0),
        (30, 3.0),
    ]
    assert client.get_run(run_id).data.metrics == {"a": 3.0}


def test_a_database_of_another_revision_gets_its_points_from_mlflow(
    tracker: MlflowTracker, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct, through = run(tracker, study, 0), run(tracker, study, 1)
    tracker.log_rows(direct, ROWS)
    monkeypatch.setattr(mlflow_points, "REVISIONS", frozenset())
    assert not DirectPoints(Path(tracker.address.removeprefix("sqlite:///"))).write(through, ROWS)
    assert tables(tracker, through) == [[], []]
    tracker.log_rows(through, ROWS)
    assert tables(tracker, through) == tables(tracker, direct)


def test_what_mlflow_refuses_is_refused_by_mlflow(tracker: MlflowTracker, study: str) -> None:
    run_id = run(tracker, study, 0)
    with pytest.raises(TrackingRefused, match="does not accept this"):
        tracker.log_rows(run_id, [Row(2**70, TIME, {"a": 1.0})])
    MlflowClient(tracker.address).delete_run(run_id)
    with pytest.raises(TrackingRefused, match="deleted"):
        tracker.log_rows(run_id, ROWS)
    assert tables(tracker, run_id) == [[], []]
