"""Points straight into the tables of MLflow's SQLite database, for curves that are long.

`log_batch` makes an object of SQLAlchemy's for every point, twice over, and holds the database's only write lock
meanwhile: some 15,000 points a second, however many send. The same rows written as rows are ten times as many. This is
done only in databases of a revision that is known here: all others get `log_batch`.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlalchemy
from sqlalchemy.pool import NullPool

from tracking.mlflow.address import sqlite_address
from tracking.mlflow.batches import number
from tracking.mlflow.names import safe_name
from tracking.row import Row

REVISIONS = frozenset({"dc11669786a5"})
"""Of MLflow's schema, those in which the statements below say what `log_batch` does."""
BUSY_SECONDS = 20
LARGEST = 2**63 - 1

_REVISION = "SELECT version_num FROM alembic_version"
_STAGE = "SELECT lifecycle_stage FROM runs WHERE run_uuid = ?"
_INSERT = """
INSERT OR IGNORE INTO metrics (run_uuid, key, step, timestamp, value, is_nan) VALUES (?, ?, ?, ?, ?, ?)
"""
_LATEST = """
INSERT INTO latest_metrics (run_uuid, key, step, timestamp, value, is_nan) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (key, run_uuid) DO UPDATE
SET step = excluded.step, timestamp = excluded.timestamp, value = excluded.value, is_nan = excluded.is_nan
WHERE (excluded.step, excluded.timestamp, excluded.value)
    > (latest_metrics.step, latest_metrics.timestamp, latest_metrics.value)
"""

Point = tuple[str, str, int, int, float, bool]
"""Run, name, step, time, value, and whether the value is NaN, of which SQLite knows nothing."""


class DirectPoints:
    """The metrics of one SQLite database."""

    def __init__(self, path: Path) -> None:
        self._engine = sqlalchemy.create_engine(
            sqlite_address(path), poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS}
        )

    def write(self, run_id: str, rows: Sequence[Row]) -> bool:
        """Write rows in one transaction; False, with nothing done, where MLflow itself has to be asked."""
        points = list(_points(run_id, rows))
        if not points or not all(
            0 <= time <= LARGEST and abs(step) <= LARGEST for _, _, step, time, *_ in points
        ):
            return False
        with self._engine.begin() as connection:
            if connection.exec_driver_sql(_REVISION).scalar() not in REVISIONS:
                return False
            if connection.exec_driver_sql(_STAGE, (run_id,)).scalar() != "active":
                return False
            connection.exec_driver_sql(_INSERT, points)
            connection.exec_driver_sql(_LATEST, _newest(points))
        return True


def _points(run_id: str, rows: Sequence[Row]) -> Iterator[Point]:
    """As MLflow stores them: NaN as a zero that is marked, infinities as the largest numbers."""
    largest = sys.float_info.max
    for row in rows:
        for name, given in row.metrics.items():
            value = number(given)
            is_nan = math.isnan(value)
            stored = 0.0 if is_nan else min(max(value, -largest), largest)
            yield run_id, safe_name(name), row.step, row.time_ms, stored, is_nan


def _newest(points: Sequence[Point]) -> list[Point]:
    """Of each metric the point that MLflow shows as its value: the last step, then the latest."""
    newest: dict[str, Point] = {}
    for point in points:
        known = newest.get(point[1])
        if known is None or point[2:5] > known[2:5]:
            newest[point[1]] = point
    return list(newest.values())
