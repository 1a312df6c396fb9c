"""Pulse: how a supervisor knows a worker whose training step never returns from one that is only slow.

The worker says through a pipe how long what it begins may take, and when it is done. Nothing else is minded: what
waits for a storage or a tracking server has patience of its own.
"""

import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

VARIABLE = "OMAD_PULSE"
"""Names the pipe's end to a worker."""
MESSAGE = struct.Struct("<d")
READ_BYTES = 1 << 16
LONGEST_TICK = 2.0
"""A supervisor that did not look for longer was not running: that time does not count."""


class Pulse:
    """A worker's end; without a supervisor it says nothing."""

    def __init__(self, pipe: int | None = None) -> None:
        self._pipe = pipe

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Promise that this block ends within so many seconds."""
        self._say(seconds)
        try:
            yield
        finally:
            self._say(0.0)

    def _say(self, seconds: float) -> None:
        if self._pipe is not None:
            # A full pipe has a supervisor that does not look, a broken one a supervisor that is gone.
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(self._pipe, MESSAGE.pack(seconds))


def inherited() -> Pulse:
    """The end that a supervisor gave to this process, for this process alone."""
    number = os.environ.pop(VARIABLE, "")
    if not number.isdigit():
        return Pulse()
    pipe = int(number)
    try:
        os.set_inheritable(pipe, False)
        os.set_blocking(pipe, False)
    except OSError:  # the variable was passed on without the pipe
        return Pulse()
    return Pulse(pipe)


class Listener:
    """A supervisor's end."""

    def __init__(self) -> None:
        self._ours, self.theirs = os.pipe()
        os.set_blocking(self._ours, False)
        self._allowed = 0.0
        self._spent = 0.0
        self._looked = time.monotonic()

    def started(self) -> None:
        """The worker has its end: close ours of it."""
        os.close(self.theirs)

    def overdue(self, suspended: bool) -> float | None:
        """For how long a step has gone on that was to be over, told once; None where nothing is amiss. Look often."""
        now = time.monotonic()
        tick, self._looked = min(now - self._looked, LONGEST_TICK), now
        if said := self._read():
            self._allowed, self._spent = said[-1], 0.0
        elif not suspended:
            self._spent += tick
        if not self._allowed or self._spent <= self._allowed:
            return None
        self._allowed = 0.0
        return self._spent

    def _read(self) -> list[float]:
        try:
            data = os.read(self._ours, READ_BYTES)
        except BlockingIOError:
            return []
        # The pipe holds no more than was read; messages are too short to be torn apart.
        return [seconds for (seconds,) in MESSAGE.iter_unpack(data)]

    def close(self) -> None:
        """The worker is gone."""
        os.close(self._ours)
