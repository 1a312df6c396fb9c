"""Workers monitor: what is shown while workers train, live or as plain lines, and how a signal stops them."""

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import RenderableType
from rich.live import Live

from cli.show.console import out
from search.launch.supervisor import Supervisor

SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
SHARE_OF_LOOKING = 0.05
"""Of the time, as long as a look takes less than a quarter of a second: workers on every core lack what it takes."""
GRACE_SECONDS = 30.0
HINT = "Ctrl-C: checkpoint and stop"
STOPPING = "stopping: writing checkpoints (Ctrl-C again: stop now)"


def pause_after(seconds: float) -> float:
    """Seconds to wait after a look that took so many."""
    return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, seconds / SHARE_OF_LOOKING))


class WorkersMonitor(ABC):
    """Shows something until its workers have ended. The first signal stops them in order, the second kills them."""

    def __init__(self, workers: Supervisor) -> None:
        self.workers = workers
        self._interrupts = 0

    @abstractmethod
    def look(self) -> None:
        """Read what is shown. While the storage is unavailable, it stays as it was read last."""

    @abstractmethod
    def render(self) -> RenderableType:
        """What a terminal shows now."""

    @abstractmethod
    def speak(self) -> None:
        """Print what is new, where there is no terminal."""

    @property
    def interrupted(self) -> bool:
        """Whether a signal stopped it."""
        return self._interrupts > 0

    @property
    def note(self) -> str:
        """What a signal does, or has done; nothing once the workers have ended."""
        return "" if self.workers.ended else STOPPING if self._interrupts else HINT

    def watch(self, live: bool = True) -> None:
        """Show it until the workers have ended; `live`: on a terminal as one picture."""
        console = out()
        with self._interruptible():
            if not (live and console.is_terminal):
                self._loop(self.speak)
                return
            with Live(self.render(), console=console, refresh_per_second=4, transient=False) as picture:
                self._loop(lambda: picture.update(self.render()))

    def _loop(self, show: Callable[[], None]) -> None:
        stop_by = float("inf")
        show()
        while not self.workers.ended:
            began, before = time.monotonic(), self._interrupts
            self.workers.look()
            self.look()
            show()
            if self._interrupts and not self.workers.stopping:
                self.workers.stop()
                stop_by = time.monotonic() + GRACE_SECONDS
            if self._interrupts > 1 or time.monotonic() > stop_by:
                self.workers.kill()
            self._pause(pause_after(time.monotonic() - began), before)
        self.look()
        show()

    def _pause(self, seconds: float, before: int) -> None:
        """Wait in short pieces until there are more signals than `before`: one changes a number and ends no sleep."""
        end = time.monotonic() + seconds
        while self._interrupts == before and not self.workers.ended and time.monotonic() < end:
            time.sleep(0.05)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Count signals; workers that are left in the end are stopped."""

        def count(number: int, frame: Any) -> None:
            self._interrupts += 1

        before = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if not self.workers.ended:
                self.workers.stop()
                if not self.workers.wait(GRACE_SECONDS):
                    self.workers.kill()
