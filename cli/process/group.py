"""A group of workers: several processes of one study on this machine, and their supervision without a terminal."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.process.placement import Plan
from cli.process.worker import ECHO_SECONDS, SUPERVISED
from cli.show.console import err, say
from search.checkpoints.workdir import Workdir
from search.launch.supervisor import CRASHES, Child, Supervisor
from search.slots.studies import StudyHandle
from search.study.study_spec import StudySpec

PROGRAM = Path(__file__).parents[2] / "omad_search.py"
"""Run by its path: as a module, PYTHONPATH could have another of its name."""
LOOK_SECONDS = 0.2
LEAVE_SECONDS = 5.0
"""What a process may take beyond the grace it was given, before it is killed."""


@dataclass(frozen=True)
class Assignment:
    """What workers work for: a study, or a comparison."""

    name: str
    """As `omad-search worker` takes it."""
    uid: str
    max_attempts: int

    @classmethod
    def study(cls, handle: StudyHandle) -> "Assignment":
        """One study, with its confirmation."""
        return cls(handle.name, handle.uid, StudySpec.from_json(handle.spec).max_attempts)

    @classmethod
    def comparison(cls, name: str, spec: StudySpec) -> "Assignment":
        """All studies of a comparison; `spec`: of any of them. Raises ValueError for one of no comparison."""
        if spec.comparison is None:
            raise ValueError(f"study {spec.name!r} is part of no comparison")
        return cls(name, spec.comparison.uid, spec.max_attempts)


def build_supervisor(
    plan: Plan,
    target: Assignment,
    workdir: Workdir,
    storage: str,
    tracking: str | None,
    options: Sequence[str] = (),
) -> Supervisor:
    """Worker processes for a plan; addresses travel in the environment, where `ps` does not show them."""
    environment = {
        "OMAD_STORAGE": storage,
        "OMAD_HOME": str(workdir.root),
        "OMP_NUM_THREADS": str(plan.threads),
        SUPERVISED: str(os.getpid()),
        "PYTHONUNBUFFERED": "1",
    }
    if tracking is not None:
        environment["MLFLOW_TRACKING_URI"] = tracking
    logs = workdir.logs(target.name, target.uid)
    # A trial that kills its workers is failed before they are given up.
    most_crashes = max(CRASHES, target.max_attempts + 2)
    children = []
    for number, device in enumerate(plan.devices):
        # -P: a module of the user's own in this folder stands in for none of ours, nor of Python's.
        command = [sys.executable, "-P", str(PROGRAM), "worker", target.name]
        command += ["--device", device, "--threads", str(plan.threads), *options]
        children.append(Child(number, command, environment, logs / f"worker-{number}.log", most_crashes))
    return Supervisor(children)


def supervise(workers: Supervisor, grace_seconds: float, stopped_code: int = 0) -> int:
    """Supervise workers until all have ended or a signal arrives; the exit code, after a signal `stopped_code`."""
    signals: list[float] = []
    with _record_signals(signals):
        for child in workers.children:
            say(f"worker {child.number}: log in {child.log_file}", stderr=True)
        while not workers.ended and not signals:
            workers.look()
            time.sleep(LOOK_SECONDS)
        stopped = not workers.ended
        if stopped:
            _stop(workers, signals, grace_seconds)
    if workers.failed:
        return print_failures(workers)
    return stopped_code if stopped else 0


def _stop(workers: Supervisor, signals: list[float], grace_seconds: float) -> None:
    """Stop them in order; after the grace, or at a second signal, kill them."""
    say("stopping: writing checkpoints", stderr=True)
    workers.stop()
    end = time.monotonic() + grace_seconds + LEAVE_SECONDS
    while not workers.wait(LOOK_SECONDS):
        if time.monotonic() > end or len(signals) > 1:
            workers.kill()


def print_failures(workers: Supervisor) -> int:
    """Print the end of the log of each worker that was given up, once where several say the same; the exit code."""
    said: dict[tuple[str, bool], list[Child]] = {}
    for child in workers.failed:
        said.setdefault((child.last_words(), child.crashes > 0), []).append(child)
    for (words, crashed), children in said.items():
        several = len(children) > 1
        who = f"worker{'s' if several else ''} {', '.join(str(child.number) for child in children)}"
        what = (
            ("keep" if several else "keeps") + " dying"
            if crashed
            else f"{'have' if several else 'has'} ended"
        )
        err().print(f"error: {who} {what}; the end of the log ({children[0].log_file}):", style="red")
        say(words, stderr=True)
    return 1


@contextmanager
def _record_signals(signals: list[float]) -> Iterator[None]:
    """Append the time of each signal; an echo of the first is the same signal."""

    def record(number: int, frame: Any) -> None:
        now = time.monotonic()
        if not signals or now - signals[0] > ECHO_SECONDS:
            signals.append(now)

    before = {number: signal.signal(number, record) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
