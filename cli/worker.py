"""omad-search worker: one worker of a study, on this or any other machine."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DEFAULT_STORAGE, Storage, StudyName, Tracking

if TYPE_CHECKING:
    from search.worker import Worker

SUPERVISED = "OMAD_SUPERVISED_BY"
"""Process id of the supervisor: a worker whose supervisor is gone leaves in order."""
WATCH_SECONDS = 1.0


def worker(
    study: StudyName,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    device: Annotated[str, typer.Option("--device", metavar="cpu|cuda:N", help="Where to train.")] = "cpu",
    pack: Annotated[int, typer.Option("--pack", min=1, help="Trials trained side by side.")] = 1,
    threads: Annotated[int, typer.Option("--threads", min=1, help="torch threads on the CPU.")] = 1,
    home: Annotated[
        Path | None, typer.Option("--home", envvar="OMAD_HOME", help="Where checkpoints are kept.")
    ] = None,
) -> None:
    """Train trials of a study until it has ended. Ctrl-C: checkpoint, hand back, leave."""
    import torch

    from cli import logs
    from search.home import open_home
    from search.storage import open_storage
    from search.study import open_study
    from search.worker import Place, Worker
    from tracking.mlflow_tracker import MlflowTracker

    logs.configure_worker()
    torch.set_num_threads(threads)
    tracker = MlflowTracker(tracking)
    tracker.check()
    with open_storage(storage) as store:
        handle = open_study(store, study)
        place = Place(open_home(str(home) if home else None), device, pack)
        working = Worker(store, handle, tracker, place)
        _stop_when_told(working)
        working.run()


def _stop_when_told(working: "Worker") -> None:
    """First signal: leave in order. Second: at once; the last checkpoint is where others go on."""
    told = threading.Event()

    def hear(number: int, frame: Any) -> None:
        if told.is_set():
            sys.stderr.flush()
            os._exit(128 + number)
        told.set()
        working.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, hear)
    supervisor = os.environ.get(SUPERVISED)
    if supervisor and supervisor.isdigit():
        threading.Thread(target=_watch, args=(int(supervisor), working), daemon=True).start()


def _watch(supervisor: int, working: "Worker") -> None:
    while os.getppid() == supervisor:
        time.sleep(WATCH_SECONDS)
    working.stop()
