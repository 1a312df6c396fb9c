"""Status line: shows that what takes long lives, on a terminal in place, in a pipe by a line now and then."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cli.show import numbers
from cli.show.console import err, say

LINE_SECONDS = 20.0


class StatusLine:
    """How far something is that takes long."""

    def __init__(self, what: str, changed: Callable[[], None], begun: Callable[[], None]) -> None:
        self._began, self._stage, self._progress = time.monotonic(), what, ""
        self._changed, self._begun = changed, begun

    @property
    def now(self) -> str:
        """The part it is at, and how far that is."""
        return f"{self._stage}: {self._progress}" if self._progress else self._stage

    @property
    def line(self) -> str:
        """The same, with the time it has taken."""
        return f"{numbers.duration(time.monotonic() - self._began):>7}  {self.now}"

    def begin(self, stage: str) -> None:
        """Show that a part begins; a line of its own in a pipe."""
        self._stage, self._progress = stage, ""
        self._begun()

    def progress(self, text: str) -> None:
        """Show how far the part is; in a pipe with the next line."""
        self._progress = text
        self._changed()


@contextmanager
def status_line(what: str, line_seconds: float = LINE_SECONDS) -> Iterator[StatusLine]:
    """Show `what` on stderr, with the time it has taken, until the block ends; the value says how far it is."""
    console = err()
    if console.is_terminal:
        with console.status(what) as status:
            wait = StatusLine(what, lambda: status.update(wait.now), lambda: status.update(wait.now))
            yield wait
        return
    wait, over = StatusLine(what, lambda: None, lambda: say(wait.line, stderr=True)), threading.Event()

    def speak() -> None:
        while not over.wait(line_seconds):
            say(wait.line, stderr=True)

    thread = threading.Thread(target=speak, name="waiting", daemon=True)
    thread.start()
    try:
        yield wait
    finally:
        over.set()
        thread.join()
