"""Clock: the time of a population by activity, and the speed of each member."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

SHARES = ("environment", "acting", "learning", "evaluating", "saving")
"""`saving`: taking snapshots, and the blocks of `Population.saving`."""


class Clock:
    """Seconds by activity of the whole program, and rates of each member since its last log."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(SHARES, 0.0)
        self._running: set[str] = set()
        self._last: dict[int, tuple[float, int, int, dict[str, float]]] = {}

    @contextmanager
    def measure(self, activity: str) -> Iterator[None]:
        """Add the time of the block to an activity; within another block of the same it is counted already."""
        if activity in self._running:
            yield
            return
        self._running.add(activity)
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[activity] += time.perf_counter() - begin
            self._running.remove(activity)

    def rates(self, member: int, env_steps: int, updates: int) -> dict[str, float]:
        """`time/...` metrics of a member since the last call; nothing the first time."""
        now = time.perf_counter()
        last = self._last.get(member)
        self._last[member] = (now, env_steps, updates, dict(self._seconds))
        if last is None or now <= last[0]:
            return {}
        then, steps, done, seconds = last
        elapsed = now - then
        shares = {f"time/{name}_share": (self._seconds[name] - seconds[name]) / elapsed for name in SHARES}
        return {
            "time/env_steps_per_second": (env_steps - steps) / elapsed,
            "time/updates_per_second": (updates - done) / elapsed,
            **shares,
        }

    def forget(self, member: int) -> None:
        """Forget a member that was evicted."""
        self._last.pop(member, None)
