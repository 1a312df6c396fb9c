"""A team: several workers of one study on this machine, without a terminal to watch them."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cli.console import err, say
from cli.one_worker import ECHO_SECONDS
from search.worker.supervise import Supervisor

LOOK_SECONDS = 0.2
LEAVE_SECONDS = 5.0
"""What a process may take beyond the grace it was given, before it is killed."""


def lead(workers: Supervisor, grace_seconds: float, stopped_code: int = 0) -> int:
    """Keep them at work until all have ended or a signal comes, which `stopped_code` is for; the exit code."""
    told: list[float] = []
    with _heard(told):
        for child in workers.children:
            say(f"worker {child.number}: log in {child.log_file}", stderr=True)
        while not workers.ended and not told:
            workers.look()
            time.sleep(LOOK_SECONDS)
        stopped = not workers.ended
        if stopped:
            _dismiss(workers, told, grace_seconds)
    if workers.failed:
        return tell_failures(workers)
    return stopped_code if stopped else 0


def _dismiss(workers: Supervisor, told: list[float], grace_seconds: float) -> None:
    """Have them leave in order; at once after the grace, or at a second signal."""
    say("stopping: writing checkpoints", stderr=True)
    workers.stop()
    end = time.monotonic() + grace_seconds + LEAVE_SECONDS
    while not workers.wait(LOOK_SECONDS):
        if time.monotonic() > end or len(told) > 1:
            workers.kill()


def tell_failures(workers: Supervisor) -> int:
    """Say why workers were given up; the exit code."""
    for child in workers.failed:
        err().print(
            f"error: worker {child.number} keeps dying; the end of its log ({child.log_file}):", style="red"
        )
        say(child.last_words(), stderr=True)
    return 1


@contextmanager
def _heard(told: list[float]) -> Iterator[None]:
    """Note when signals come."""

    def hear(number: int, frame: Any) -> None:
        now = time.monotonic()
        if not told or now - told[0] > ECHO_SECONDS:
            told.append(now)

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
