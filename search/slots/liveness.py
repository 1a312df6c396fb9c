"""Liveness: which workers of this machine are dead, so that their slots need not wait for their leases to run out."""

import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import update

from search.slots import budget
from search.slots.lease import SlotRow
from search.storage.dbclock import now
from search.storage.store import Store
from search.storage.tables import Slot

CLOCK_TICK = 1.0
"""Seconds by which two readings of one process's start may differ."""


@cache
def machine() -> str:
    """Names this boot of this machine and the space in which its process ids mean something."""
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            parts.append(
                Path(path).readlink().name if path.endswith("pid") else Path(path).read_text().strip()
            )
        except OSError:
            parts.append(str(psutil.boot_time()))
    return " ".join(parts)


def identity(pid: int | None = None) -> dict[str, Any]:
    """Identifies this process, or another one of this machine, among all others."""
    process = psutil.Process(pid)
    return {"machine": machine(), "pid": process.pid, "born": process.create_time()}


def is_gone(progress: Mapping[str, Any]) -> bool:
    """Whether a worker is certainly dead: its process was one of this machine and has ended."""
    if progress.get("machine") != machine():
        return False
    try:
        return bool(abs(psutil.Process(progress["pid"]).create_time() - progress["born"]) > CLOCK_TICK)
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, KeyError, TypeError):
        return False


def expire_gone(store: Store, study_id: int) -> int:
    """End the leases of dead workers of this machine; how many."""
    held = [row for row in budget.rows(store, study_id) if row.expires_in is not None and row.expires_in > 0]
    # Until its first renewal a lease shows the progress of the one before it.
    current = [row for row in held if row.progress.get("token") == row.token]
    return sum(_expire(store, study_id, row) for row in current if is_gone(row.progress))


def _expire(store: Store, study_id: int, row: SlotRow) -> bool:
    mine = (Slot.study_id == study_id, Slot.number == row.number, Slot.token == row.token)
    with store.write() as connection:
        return connection.execute(update(Slot).where(*mine).values(expires_at=now())).rowcount == 1
