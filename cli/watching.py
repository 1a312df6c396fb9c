"""Watching: the workers of `run` while they work, shown live or as plain lines, and stopped by Ctrl-C."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.live import Live

from cli.console import out
from cli.devices import Plan
from cli.lines import Lines
from cli.live import LiveView
from cli.one_worker import SUPERVISED
from search.errors import StorageUnavailable
from search.records.home import Home
from search.slots import status
from search.slots.study import StudyHandle
from search.slots.view import StudyView
from search.storage.store import Store
from search.worker.supervise import Child, Supervisor

LOOK_SECONDS = 0.5
GRACE_SECONDS = 30.0
HINT = "Ctrl-C: checkpoint and stop"
STOPPING = "stopping: writing checkpoints (Ctrl-C again: stop now)"


def supervisor(
    plan: Plan,
    handle: StudyHandle,
    home: Home,
    storage: str,
    tracking: str | None,
    options: Sequence[str] = (),
) -> Supervisor:
    """Worker processes for a plan; addresses travel in the environment, where `ps` does not show them."""
    environment = {
        "OMAD_STORAGE": storage,
        "OMAD_HOME": str(home.root),
        "OMP_NUM_THREADS": str(plan.threads),
        SUPERVISED: str(os.getpid()),
        "PYTHONUNBUFFERED": "1",
    }
    if tracking is not None:
        environment["MLFLOW_TRACKING_URI"] = tracking
    logs = home.logs(handle.name, handle.uid)
    children = []
    for number, device in enumerate(plan.devices):
        # -P: a file of the user's own called cli.py in this folder is not ours.
        command = [sys.executable, "-P", "-m", "cli.main", "worker", handle.name]
        command += ["--device", device, "--threads", str(plan.threads), *options]
        children.append(Child(number, command, environment, logs / f"worker-{number}.log"))
    return Supervisor(children)


class Watch:
    """Shows a study until its workers have ended; the first Ctrl-C stops them in order, the second at once."""

    def __init__(self, workers: Supervisor, store: Store, handle: StudyHandle, tracking: str) -> None:
        self.workers, self._store, self._handle, self._tracking = workers, store, handle, tracking
        self._began = time.monotonic()
        self._interrupts = 0
        self._view = self._read()

    def run(self) -> StudyView:
        """The study as it stands in the end."""
        console = out()
        with self._interruptible():
            if console.is_terminal:
                with Live(self._shown(), console=console, refresh_per_second=4, transient=False) as live:
                    self._loop(lambda: live.update(self._shown()))
            else:
                lines = Lines()
                self._loop(lambda: lines.show(self._view))
        return self._view

    @property
    def interrupted(self) -> bool:
        """Whether a person stopped it."""
        return self._interrupts > 0

    def _loop(self, show: Any) -> None:
        stop_by = float("inf")
        show()
        while not self.workers.ended:
            self.workers.look()
            self._view = self._read()
            show()
            if self._interrupts and not self.workers.stopping:
                self.workers.stop()
                stop_by = time.monotonic() + GRACE_SECONDS
            if self._interrupts > 1 or time.monotonic() > stop_by:
                self.workers.kill()
            self._pause()
        self._view = self._read()
        show()

    def _pause(self) -> None:
        """Wait a little, in short pieces: a signal does not end a sleep, and sets nothing but a number."""
        before, end = self._interrupts, time.monotonic() + LOOK_SECONDS
        while self._interrupts == before and not self.workers.ended and time.monotonic() < end:
            time.sleep(0.05)

    def _read(self) -> StudyView:
        """The study now, or as it was seen last while the storage is away."""
        try:
            return status.read(self._store, self._handle, self._tracking, self._began)
        except StorageUnavailable:
            if not hasattr(self, "_view"):
                raise
            return self._view

    def _shown(self) -> LiveView:
        if self.workers.ended:
            return LiveView(self._view)
        return LiveView(self._view, STOPPING if self._interrupts else HINT)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        def hear(number: int, frame: Any) -> None:
            self._interrupts += 1

        before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if not self.workers.ended:
                self.workers.stop()
                if not self.workers.wait(GRACE_SECONDS):
                    self.workers.kill()
