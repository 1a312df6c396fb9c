"""Sender: writes to the tracking store on a thread of its own, so that training never waits for them."""

import logging
import random
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tracking.errors import TrackingError, TrackingUnavailable
from tracking.redaction import redact
from tracking.spool.spool import Spool
from tracking.tracker import Tracker

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
ROWS_PER_CALL = 100  # what is sent again after a failure: MLflow takes points it has ten times slower
ANY_STEP = 2**62

Job = Callable[[], object]
_log = logging.getLogger(__name__)


@dataclass
class _Waiting:
    """A job, and when it may be tried (next)."""

    job: Job
    due: float = field(default_factory=time.monotonic)
    tries: int = 0


class Sender:
    """One background thread that runs named jobs, again and again until the server takes them.

    A job must be repeatable: it may run again after it half succeeded. A newer job takes the place of a
    waiting one of the same key. Jobs of one key never run at once nor out of order.
    """

    def __init__(
        self, first_pause: float = FIRST_PAUSE_SECONDS, longest_pause: float = LONGEST_PAUSE_SECONDS
    ) -> None:
        self._pauses = (first_pause, longest_pause)
        self._waiting: dict[str, _Waiting] = {}
        self._running: str | None = None
        self._unavailable_since: float | None = None
        self._closing = False
        self._changed = threading.Condition()
        self._jitter = random.Random()
        self._thread = threading.Thread(target=self._work, name="tracking-sender", daemon=True)
        self._thread.start()

    def submit(self, key: str, job: Job) -> None:
        """Queue a job and return at once."""
        with self._changed:
            if self._closing:
                raise TrackingError(f"The sender is closed and takes no more jobs ({key!r}).")
            older = self._waiting.get(key)
            self._waiting[key] = _Waiting(job) if older is None else replace(older, job=job)
            self._changed.notify_all()

    def pending(self) -> list[str]:
        """The keys of jobs that are not done."""
        with self._changed:
            running = [] if self._running is None else [self._running]
            return running + [key for key in self._waiting if key != self._running]

    def unavailable_seconds(self) -> float:
        """For how long the server has not been reached; 0 when it was, last time."""
        with self._changed:
            since = self._unavailable_since
        return 0.0 if since is None else time.monotonic() - since

    def drain(self, seconds: float) -> bool:
        """Wait until everything is sent, trying at once what was waiting; False when time is up."""
        with self._changed:
            self._wake_all()
            return self._changed.wait_for(self._is_idle, timeout=seconds)

    def close(self, seconds: float) -> bool:
        """Drain, then end the thread; False when jobs were left, which the next start must send."""
        empty = self.drain(seconds)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if empty:
            self._thread.join(timeout=max(seconds, 1.0))
        return empty

    def _is_idle(self) -> bool:
        return not self._waiting and self._running is None

    def _wake_all(self) -> None:
        for waiting in self._waiting.values():
            waiting.due = min(waiting.due, time.monotonic())
        self._changed.notify_all()

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            key, waiting = taken
            self._run(key, waiting)
            with self._changed:
                self._running = None
                self._changed.notify_all()

    def _take(self) -> tuple[str, _Waiting] | None:
        """The job that is due first, waited for; None when closed."""
        with self._changed:
            while not self._closing:
                key = min(self._waiting, key=lambda name: self._waiting[name].due, default=None)
                pause = None if key is None else self._waiting[key].due - time.monotonic()
                if key is not None and pause is not None and pause <= 0:
                    self._running = key
                    return key, self._waiting.pop(key)
                self._changed.wait(timeout=pause)
        return None

    def _run(self, key: str, waiting: _Waiting) -> None:
        try:
            waiting.job()
        except TrackingUnavailable as error:
            self._postpone(key, waiting, error)
        except TrackingError as error:
            _log.error("Not recorded (%s): %s", key, error)
            self._answered()
        except Exception as error:  # noqa: BLE001 - the border of this thread: nothing may end it in silence
            trace = redact("".join(traceback.format_exception(error)))
            _log.error("Not recorded (%s), by a fault that was not foreseen:\n%s", key, trace)
            self._answered()
        else:
            self._reached(waiting)

    def _postpone(self, key: str, waiting: _Waiting, error: TrackingUnavailable) -> None:
        """Try again later, unless a newer job of this key has come."""
        with self._changed:
            if self._unavailable_since is None:
                self._unavailable_since = time.monotonic()
                _log.warning("%s Training goes on; what was measured is kept here and sent later.", error)
            waiting.tries += 1
            waiting.due = time.monotonic() + self._pause(waiting.tries)
            newer = self._waiting.get(key)
            if newer is None:
                self._waiting[key] = waiting
            else:
                newer.tries, newer.due = waiting.tries, waiting.due

    def _pause(self, tries: int) -> float:
        first, longest = self._pauses
        return min(longest, first * 2.0 ** min(tries - 1, 30)) * self._jitter.uniform(0.5, 1.0)

    def _answered(self) -> None:
        """A job was given up, and not because the server could not be reached."""
        with self._changed:
            self._unavailable_since = None

    def _reached(self, waiting: _Waiting) -> None:
        """A job that had failed went through: the server is back, so nothing needs to wait."""
        with self._changed:
            if self._unavailable_since is not None and waiting.tries:
                _log.info("The tracking server answers again.")
                self._wake_all()
            self._unavailable_since = None


def send_curve(spool: Spool, tracker: Tracker, run_id: str, up_to_step: int) -> int:
    """Send the rows up to an environment step that were not sent; returns how many."""
    total = 0
    while (unsent := spool.unsent(up_to_step, ROWS_PER_CALL)).rows:
        tracker.log_rows(run_id, unsent.rows)
        spool.mark_sent(unsent)
        total += len(unsent.rows)
    return total


def send_first(spool: Spool, tracker: Tracker, run_id: str, count: int) -> None:
    """Send what was not sent of the first `count` rows."""
    while (left := count - spool.sent) > 0:
        unsent = spool.unsent(ANY_STEP, min(left, ROWS_PER_CALL))
        if not unsent.rows:
            return
        tracker.log_rows(run_id, unsent.rows)
        spool.mark_sent(unsent)
