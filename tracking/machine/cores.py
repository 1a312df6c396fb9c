"""The cores that this process may use: a scheduler or a container may leave it fewer than the machine has."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CGROUPS, MINE = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def usable(cgroups: Path = CGROUPS, mine: Path = MINE) -> int:
    """Whole cores, one at least: those it may be scheduled on, within the container's share of processor time."""
    share = min(_shares(cgroups, mine), default=float("inf"))
    return max(1, int(min(_scheduled(), share)))


def _scheduled() -> int:
    """The cores that the process may run on: `taskset` and batch systems narrow them."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shares(cgroups: Path, mine: Path) -> Iterator[float]:
    """Processor seconds a second that each control group of the process grants, where one is limited."""
    for folder in _folders(cgroups, mine):
        with suppress(OSError, ValueError, ZeroDivisionError):
            # Version 2 of control groups: "200000 100000", or "max 100000" without a limit.
            quota, period = (folder / "cpu.max").read_text().split()
            yield float(quota) / float(period)
        with suppress(OSError, ValueError, ZeroDivisionError):
            # Version 1: -1 without a limit.
            quota = (folder / "cpu.cfs_quota_us").read_text()
            if float(quota) > 0:
                yield float(quota) / float((folder / "cpu.cfs_period_us").read_text())


def _folders(cgroups: Path, mine: Path) -> Iterator[Path]:
    """Folders of the process's control groups and of those around them; in a container only the root is seen."""
    with suppress(OSError):
        for line in mine.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or "cpu" in controllers.split(","):
                below = Path(path.lstrip("/"))
                root = cgroups / controllers
                yield from (root / part for part in (below, *below.parents))
