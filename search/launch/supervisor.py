"""Supervisor: worker processes on this machine, started, watched, restarted and stopped."""

import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from search.errors import UnfitMachine
from search.launch import watchdog

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
CRASHES = 5
"""Deaths in a row, each within CRASH_SECONDS of the start and with no trial ended in between, that end a worker for
good; more where a trial that kills its workers is given up later."""
CRASH_SECONDS = 60.0
REFUSED = 2
"""Exit code of a worker that was wrongly started, such as for a study that does not exist: it would be again."""
TAIL_LINES = 15
FULL_BYTES = 1 << 16
"""With less free on its disk a log may lack what its worker said last."""


@dataclass
class Child:
    """One worker process and its deaths so far."""

    number: int
    command: Sequence[str]
    environment: Mapping[str, str]
    log_file: Path
    most_crashes: int = CRASHES
    process: subprocess.Popen[bytes] | None = None
    listener: watchdog.Listener | None = None
    started: float = 0.0
    crashes: int = 0
    due: float = 0.0
    code: int | None = None
    """Exit code of the last process, once the worker has ended for good."""

    def start(self) -> None:
        """Start it in a session of its own: Ctrl-C reaches the supervisor alone."""
        try:
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            output = self.log_file.open("ab")
        except OSError as error:
            raise UnfitMachine(
                f"no worker can be started, its log {self.log_file} cannot be written: {error}"
            ) from error
        self.listener = watchdog.Listener()
        pipe = self.listener.theirs
        with output:
            self.process = subprocess.Popen(
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment, watchdog.VARIABLE: str(pipe)},
                pass_fds=[pipe],
                start_new_session=True,
            )
        self.listener.started()
        self.started = time.monotonic()

    def look(self) -> None:
        """Take note of its death; restart it after a pause, or give it up."""
        if self.code is not None:
            return
        if self.process is None:
            if time.monotonic() >= self.due:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            self._end_if_hung()
            return
        listener = self._forget()
        in_order = code == 0 and not listener.working  # an environment may end its process with code 0
        refused = code == REFUSED and not listener.working
        if in_order or refused or listener.unfit or self._is_looping(listener.trial_ended):
            self.code = code if in_order else code or 1
            return
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (self.crashes - 1))
        self.due = time.monotonic() + pause
        log.warning("worker %d died (%s); it starts again in %.0f s", self.number, _said(code), pause)

    def _end_if_hung(self) -> None:
        """Kill a worker whose training step does not return: it handles no signal, and its lease has run out."""
        if self.process is None or self.listener is None:
            return
        if seconds := self.listener.overdue(_is_suspended(self.process.pid)):
            log.warning(
                "worker %d hangs: a step of its training has not returned for %.0f s; it is ended",
                self.number,
                seconds,
            )
            self.process.kill()

    def _forget(self) -> watchdog.Listener:
        """Close what belonged to the process; what it had noted."""
        listener = self.listener
        if listener is None:
            raise RuntimeError("the worker was never started")
        listener.close()
        self.process = self.listener = None
        return listener

    def _is_looping(self, trial_ended: bool) -> bool:
        quick = time.monotonic() - self.started < CRASH_SECONDS
        self.crashes = self.crashes + 1 if quick and not trial_ended else 1
        return self.crashes >= self.most_crashes

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def last_words(self) -> str:
        """The end of its log; only the sentence with which it ended, where there is one."""
        try:
            lines = self.log_file.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        if lines and lines[-1].startswith("error: "):
            return lines[-1]
        if shutil.disk_usage(self.log_file.parent).free < FULL_BYTES:
            lines.append(f"the disk of {self.log_file.parent} is full: free some space, then start again")
        return "\n".join(lines[-TAIL_LINES:])


def _is_suspended(pid: int) -> bool:
    """Whether the process is suspended: such a one does not hang."""
    try:
        return bool(psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP))
    except psutil.Error:
        return False


def _said(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


@dataclass
class Supervisor:
    """All workers of one command."""

    children: list[Child] = field(default_factory=list)
    stopping: bool = False

    def look(self) -> None:
        """Call every second or so."""
        for child in self.children:
            if self.stopping and child.process is None and child.code is None:
                child.code = 0
            child.look()

    @property
    def ended(self) -> bool:
        """Whether every worker has ended for good."""
        return all(child.code is not None for child in self.children)

    @property
    def failed(self) -> list[Child]:
        """Workers that were given up."""
        return [child for child in self.children if child.code not in (None, 0)]

    def stop(self) -> None:
        """Ask all workers to write checkpoints and leave."""
        self.stopping = True
        for child in self.children:
            child.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End all workers now; what they held is resumed from its last checkpoint."""
        self.stopping = True
        for child in self.children:
            child.signal(signal.SIGKILL)

    def wait(self, seconds: float) -> bool:
        """Wait for all workers; False when time is up."""
        end = time.monotonic() + seconds
        while not self.ended and time.monotonic() < end:
            self.look()
            time.sleep(0.1)
        return self.ended
