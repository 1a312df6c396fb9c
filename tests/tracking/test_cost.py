"""What tracking costs: the training thread's share, all threads' share, points a second, memory."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from tracking.mlflow_tracker import MlflowTracker
from tracking.point import Row
from tracking.sender import send_curve
from tracking.spool import Spool
from tracking.system import SystemWatch
from tracking.tracker import RunInfo

pytestmark = [
    pytest.mark.slow,
    # MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
METRICS = 30
ROWS = 1_000


def rows() -> list[Row]:
    return [
        Row(50 * n, 1_000 * n, {f"train/metric_{m}": n + m / 7 for m in range(METRICS)})
        for n in range(1, ROWS + 1)
    ]


def test_a_row_a_second_costs_less_than_one_percent_of_the_time(tmp_path: Path) -> None:
    spool, watch = Spool(tmp_path / "spool"), SystemWatch()
    tracker = MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db")
    run = tracker.open_run(RunInfo("trial 0", "hopper", slot=0))
    began = time.perf_counter()
    for row in rows():
        watch.take()
        spool.append([row])
    waited = (time.perf_counter() - began) / ROWS
    began = time.process_time()
    assert send_curve(spool, tracker, run, 50 * ROWS) == ROWS
    sent = (time.process_time() - began) / ROWS
    watch.close()
    sys.stderr.write(
        f"a row of {METRICS}: training waits {1000 * waited:.2f} ms, sending takes {1000 * sent:.2f} ms of a core\n"
    )
    assert waited < 0.002
    assert waited + sent < 0.01


def test_a_long_study_is_sent_at_a_steady_pace_and_in_a_steady_memory(tmp_path: Path) -> None:
    tracker = MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db")
    curve, process = rows(), psutil.Process()
    rates, memory = [], []
    for trial in range(6):
        run = tracker.open_run(RunInfo(f"trial {trial}", "hopper", slot=trial))
        began = time.process_time()
        for first in range(0, ROWS, 100):
            tracker.log_rows(run, curve[first : first + 100])
        rates.append(METRICS * ROWS / (time.process_time() - began))
        memory.append(process.memory_info().rss / 1e6)
    sys.stderr.write(
        f"points a second of a core, trial by trial: {[round(rate) for rate in rates]}; "
        f"memory in MB: {[round(value) for value in memory]}\n"
    )
    assert min(rates) > 3_000, "a hundred trials that log thirty metrics a second"
    assert memory[-1] - memory[1] < 30
