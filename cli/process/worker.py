"""One worker in this process: it leaves in order when it is told to, and when its supervisor is gone."""

import logging
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli import logs

if TYPE_CHECKING:
    from search.checkpoints.workdir import Workdir
    from search.study.request import StudyRequest
    from search.worker.comparison_worker import ComparisonWorker
    from search.worker.pair_worker import PairWorker

SUPERVISED = "OMAD_SUPERVISED_BY"
"""Process id of the supervisor: a worker whose supervisor is gone leaves in order."""
WATCH_SECONDS = 1.0
ECHO_SECONDS = 1.0
"""Signals this soon after the first are the same one: schedulers send it to a job's every process, and so do we."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker works, whatever its study."""

    device: str
    pack: int
    threads: int | None
    """torch threads; None for one, as CPUs want it."""
    grace_seconds: float
    patience_seconds: float
    stopped_code: int = 0
    """Exit code after a signal."""
    confirm: bool = True
    """Whether it goes on with the confirmation of a study that has ended."""


def work(
    study: str,
    storage: str,
    tracking: str | None,
    workdir: "Workdir",
    options: WorkerOptions,
    requested: "StudyRequest",
) -> bool:
    """Work for a study, or a comparison, until it has ended or this process is told to stop; whether it was told."""
    import torch

    from cli.setup.creation import join
    from search.comparison.members import members
    from search.launch import watchdog
    from search.storage.patience import patiently
    from search.storage.store import open_storage
    from search.worker.comparison_worker import ComparisonWorker
    from search.worker.context import WorkerLocation
    from search.worker.pair_worker import PairWorker
    from tracking.mlflow.tracker import MlflowTracker

    logs.configure_worker()
    torch.set_num_threads(options.threads or 1)
    signs = watchdog.inherit()
    tracker = MlflowTracker(tracking)
    supervised = SUPERVISED in os.environ  # its supervisor has seen both; what is away now comes back
    if supervised:
        store = patiently(lambda: open_storage(storage), options.patience_seconds)
    else:
        tracker.check()
        store = open_storage(storage)
    with store:
        location = WorkerLocation(workdir, options.device, options.pack)
        patience = options.patience_seconds
        working: PairWorker | ComparisonWorker
        if compared := patiently(lambda: members(store, study), patience):
            for each in compared:
                join(store, each.name, requested, tracker, unavailable_allowed=supervised)
            working = ComparisonWorker(store, study, tracker, location, patience, signs)
        else:
            handle = join(store, study, requested, tracker, unavailable_allowed=supervised)
            working = PairWorker(store, handle, tracker, location, patience, signs, options.confirm)
        _stop_when_told(working, options.grace_seconds)
        working.run()
        return working.stopping


def _stop_when_told(working: "PairWorker | ComparisonWorker", grace_seconds: float) -> None:
    """First signal: leave in order, within the grace. Second: at once; others go on from the last checkpoint."""
    heard: list[float] = []

    def hear(number: int, frame: Any) -> None:
        heard.append(time.monotonic())
        if len(heard) == 1:
            working.stop(grace_seconds)
            signal.setitimer(signal.ITIMER_REAL, grace_seconds)
        elif heard[-1] - heard[0] > ECHO_SECONDS:
            _leave_now(128 + number)

    def late(number: int, frame: Any) -> None:
        log.warning(
            "not done within the %.0f s of --grace; others go on from the last checkpoint", grace_seconds
        )
        _leave_now(1)

    signal.signal(signal.SIGALRM, late)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, hear)
    supervisor = os.environ.get(SUPERVISED)
    if supervisor and supervisor.isdigit():
        threading.Thread(target=_watch, args=(int(supervisor),), daemon=True).start()


def _leave_now(code: int) -> None:
    sys.stderr.flush()
    os._exit(code)


def _watch(supervisor: int) -> None:
    while os.getppid() == supervisor:
        time.sleep(WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
