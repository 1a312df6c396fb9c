"""Watchdog: how a supervisor distinguishes a worker whose training step never returns from a slow one.

The worker writes into a pipe how long its next step may take, and when it is done. Waiting for a storage or a tracking
server is not watched: it has time limits of its own.
"""

import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

VARIABLE = "OMAD_PULSE"
"""Names the pipe's end to a worker."""
MESSAGE = struct.Struct("<d")
TRIAL_ENDED, UNFIT, AT_WORK, AT_REST = -1.0, -2.0, -3.0, -4.0
"""In the place of seconds: a trial has its result; this machine is unfit, and a new worker would be too; the worker
began; it ended in order."""
READ_BYTES = 1 << 16
LONGEST_TICK = 2.0
"""A supervisor that did not look for longer was not running: that time does not count."""


class Watchdog:
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

    @contextmanager
    def working(self) -> Iterator[None]:
        """Promise that this process does not end within this block, with whatever code."""
        self._say(AT_WORK)
        try:
            yield
        finally:
            self._say(AT_REST)

    def trial_ended(self) -> None:
        """Note that a trial has its result: deaths before it do not count against this worker."""
        self._say(TRIAL_ENDED)

    def unfit(self) -> None:
        """Note that it is of no use to start this worker again."""
        self._say(UNFIT)

    def _say(self, seconds: float) -> None:
        if self._pipe is not None:
            # A full pipe has a supervisor that does not look, a broken one a supervisor that is gone.
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(self._pipe, MESSAGE.pack(seconds))


def inherit() -> Watchdog:
    """The end that a supervisor gave to this process, for this process alone."""
    number = os.environ.pop(VARIABLE, "")
    if not number.isdigit():
        return Watchdog()
    pipe = int(number)
    try:
        os.set_inheritable(pipe, False)
        os.set_blocking(pipe, False)
    except OSError:  # the variable was passed on without the pipe
        return Watchdog()
    return Watchdog(pipe)


class Listener:
    """A supervisor's end."""

    def __init__(self) -> None:
        self._ours, self.theirs = os.pipe()
        os.set_blocking(self._ours, False)
        self._allowed = 0.0
        self._spent = 0.0
        self._looked = time.monotonic()
        self.trial_ended = False
        self.unfit = False
        self.working = False
        """Whether the worker began and has not ended in order."""

    def started(self) -> None:
        """The worker has its end: close ours of it."""
        os.close(self.theirs)

    def overdue(self, suspended: bool) -> float | None:
        """Seconds that an overdue step has taken, reported once; None where no step is overdue. Call it often."""
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
        said = [seconds for (seconds,) in MESSAGE.iter_unpack(data)]
        self.trial_ended = self.trial_ended or TRIAL_ENDED in said
        self.unfit = self.unfit or UNFIT in said
        for note in said:
            self.working = note == AT_WORK or (self.working and note != AT_REST)
        return [seconds for seconds in said if seconds >= 0]

    def close(self) -> None:
        """The worker is gone; what it noted last is still read."""
        self._read()
        os.close(self._ours)
