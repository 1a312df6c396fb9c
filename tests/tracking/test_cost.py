"""What tracking costs: the training thread's share, all threads' share, points a second, memory."""

import os
import statistics
import sys
import time
from pathlib import Path

import psutil
import pytest

from tracking.machine.system import SystemWatch
from tracking.mlflow.tracker import MlflowTracker
from tracking.row import Row
from tracking.sender import send_curve
from tracking.spool.spool import Spool
from tracking.tracker import RunInfo

pytestmark = [
    pytest.mark.slow,
    # MLflow's own use of SQLAlchemy and of Python is behind their newest releases.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
METRICS = 30
ROWS = 1_000


def rows(trial: int = 0) -> list[Row]:
    """A row a second; the next trial comes when this one has ended."""
    began = 1_700_000_000_000 + 1_000 * ROWS * trial
    return [
        Row(50 * n, began + 1_000 * n, {f"train/metric_{m}": n + m / 7 for m in range(METRICS)})
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
    """OMAD_TRIALS=200 is the whole of a long study, which takes a gigabyte of disk."""
    tracker = MlflowTracker(f"sqlite:///{tmp_path}/mlflow.db")
    process = psutil.Process()
    rates, shares, memory = [], [], []
    for trial in range(int(os.environ.get("OMAD_TRIALS", "10"))):
        run = tracker.open_run(RunInfo(f"trial {trial}", "hopper", slot=trial))
        spool = Spool(tmp_path / f"spool-{trial}")
        spool.append(rows(trial))
        began, used = time.perf_counter(), time.process_time()
        assert send_curve(spool, tracker, run, 50 * ROWS) == ROWS
        rates.append(METRICS * ROWS / (time.perf_counter() - began))
        shares.append(METRICS * ROWS / (time.process_time() - used))
        memory.append(process.memory_info().rss / 1e6)
    sys.stderr.write(
        f"{len(rates)} trials of {METRICS} metrics and {ROWS} rows each, spool to SQLite, points a second: "
        f"first {rates[0]:,.0f}, median {statistics.median(rates):,.0f}, slowest {min(rates):,.0f}; "
        f"of a core: median {statistics.median(shares):,.0f}, slowest {min(shares):,.0f}; "
        f"memory in MB: after two trials {memory[1]:.0f}, at the end {memory[-1]:.0f}\n"
    )
    assert statistics.median(shares) > 20_000
    assert memory[-1] - memory[1] < 30
