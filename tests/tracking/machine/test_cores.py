"""Cores: no more are counted than this process may use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tracking.machine import cores
from tracking.machine.provenance import provenance

ROOT = Path(__file__).parents[3]
HERE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


@pytest.mark.skipif(HERE < 2, reason="this process has one core, which cannot be narrowed")
def test_a_process_on_one_core_counts_one() -> None:
    code = (
        "import os; os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])\n"
        "from tracking.machine import cores, provenance\n"
        "from cli.process.placement import plan\n"
        "print(cores.usable(), provenance.provenance()['cpu']['cores'], plan('cpu', None, 10).devices)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1", "1", "('cpu',)"], done.stderr


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 8 cores whose control groups are described below this folder."""
    monkeypatch.setattr(cores, "_scheduled", lambda: 8)
    return tmp_path


@pytest.mark.parametrize(
    ("mine", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "350000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "9900000 100000\n"}, 8),
        ("0::/job/step\n", {"job/cpu.max": "400000 100000\n", "job/step/cpu.max": "max 100000\n"}, 4),
        (
            "2:cpu,cpuacct:/docker/x\n0::/\n",
            {
                "cpu,cpuacct/docker/x/cpu.cfs_quota_us": "300000\n",
                "cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ("", {}, 8),
        ("0::/\n", {"cpu.max": "nonsense"}, 8),
    ],
)
def test_a_containers_share_of_processor_time_bounds_the_count(
    groups: Path, mine: str, files: dict[str, str], expected: int
) -> None:
    (groups / "mine").write_text(mine)
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)
    assert cores.usable(groups, groups / "mine") == expected


def test_where_nothing_is_said_of_groups_the_cores_of_the_process_count(tmp_path: Path) -> None:
    assert cores.usable(tmp_path, tmp_path / "absent") == HERE == provenance()["cpu"]["cores"]
