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
    from search.records.home import Home
    from search.spec.given import Given
    from search.worker.worker import Worker

SUPERVISED = "OMAD_SUPERVISED_BY"
"""Process id of the supervisor: a worker whose supervisor is gone leaves in order."""
WATCH_SECONDS = 1.0
ECHO_SECONDS = 1.0
"""Signals this soon after the first are the same one: schedulers send it to a job's every process, and so do we."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manner:
    """How a worker works, whatever its study."""

    device: str
    pack: int
    threads: int | None
    """torch threads; None for one, as CPUs want it."""
    grace_seconds: float
    patience_seconds: float
    stopped_code: int = 0
    """Exit code after a signal."""


def work(
    study: str, storage: str, tracking: str | None, home: "Home", manner: Manner, given: "Given"
) -> bool:
    """Work for a study until it has ended or this process is told to stop; whether it was told."""
    import torch

    from cli.joining import join
    from search.storage.patience import patiently
    from search.storage.store import open_storage
    from search.worker import pulse
    from search.worker.desk import Place
    from search.worker.worker import Worker
    from tracking.mlflow_tracker import MlflowTracker

    logs.configure_worker()
    torch.set_num_threads(manner.threads or 1)
    signs = pulse.inherited()
    tracker = MlflowTracker(tracking)
    supervised = SUPERVISED in os.environ  # its supervisor has seen both; what is away now comes back
    if supervised:
        store = patiently(lambda: open_storage(storage), manner.patience_seconds)
    else:
        tracker.check()
        store = open_storage(storage)
    with store:
        handle = join(store, study, given, tracker, may_be_away=supervised)
        place = Place(home, manner.device, manner.pack)
        working = Worker(store, handle, tracker, place, manner.patience_seconds, signs)
        _stop_when_told(working, manner.grace_seconds)
        working.run()
        return working.stopping


def _stop_when_told(working: "Worker", grace_seconds: float) -> None:
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
