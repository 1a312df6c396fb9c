"""Lives of a worker that ends at one of its writes, and of the one after it; run as a program of its own.

Whatever reaches a database or a file is a write: commits of the storage's, Optuna's and MLflow's transactions,
files opened for writing, renamed, copied, deleted. A life ends without any farewell just before a write of a given
number.

    python lives.py FOLDER EMPTY_MLFLOW FIRST EVERY     a folder each for the writes FIRST, FIRST + EVERY, ... of a life
"""

import os
import shutil
import sys
import threading
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy
import torch
from sqlalchemy import event

from search.checkpoints.workdir import Workdir
from search.recording.study_run import parent_info
from search.slots.studies import create_study
from search.storage.store import open_storage
from search.study import catalog
from search.study.request import StudyRequest
from search.study.study_spec import StudySpec
from search.worker.context import WorkerLocation
from search.worker.pair_worker import PairWorker
from tracking.mlflow.tracker import MlflowTracker

ENDED = 9
FILES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.copyfile"}
WRITING = os.O_WRONLY | os.O_RDWR


def spec() -> StudySpec:
    """One short trial, which is the best and the defaults, and its confirmation with two held-out seeds."""
    train = {"env_steps": 180, "random_steps": 100, "log_every_steps": 60, "evaluation.every_steps": 60}
    numbers = {"trials": 1, "checkpoint_seconds": 0.0}
    return catalog.build(
        catalog.find("hopper"), StudyRequest(profile="smoke", numbers=numbers, train=train), has_gpu=False
    )


def live(folder: Path) -> None:
    """What `run` does: create or join the study, then work until nothing is left of it and of its confirmation."""
    torch.set_num_threads(1)
    chosen, tracker = spec(), MlflowTracker(f"sqlite:///{folder}/mlflow.db")
    with open_storage(f"sqlite:///{folder}/omad.db", create=True) as store:
        tracker.check()
        handle = create_study(store, chosen.name, chosen.trials, chosen.to_json(), [chosen.defaults()])
        tracker.open_run(parent_info(chosen, handle, store.address))
        PairWorker(store, handle, tracker, WorkerLocation(Workdir(folder / "home"))).run()


def end_at(number: int, folder: Path) -> None:
    """Let this process end just before its write of this number."""
    writes, lock, wrote = count(1), threading.Lock(), set[int]()

    def write() -> None:
        with lock:
            if next(writes) == number:
                os._exit(ENDED)

    def hear(name: str, requested: tuple[Any, ...]) -> None:
        opened = name == "open" and isinstance(requested[2], int) and requested[2] & WRITING
        if (opened or name in FILES) and str(requested[0]).startswith(str(folder)):
            write()

    @event.listens_for(sqlalchemy.Engine, "after_cursor_execute")
    def executed(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        if statement.lstrip().startswith(("INSERT", "UPDATE", "DELETE")):
            wrote.add(id(connection))

    @event.listens_for(sqlalchemy.Engine, "commit")
    def commit(connection: Any) -> None:
        if id(connection) in wrote:
            wrote.discard(id(connection))
            write()

    sys.addaudithook(hear)


def in_a_process(folder: Path, ending: int | None) -> int:
    """Exit code of a life in a process of its own."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with (folder / "log").open("a") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            if ending is not None:
                end_at(ending, folder)
            live(folder)
            code = 0
        finally:
            sys.excepthook(*sys.exc_info()) if code else None
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(folder: Path, empty: Path, first: int, every: int) -> None:
    """Until a life has no more writes; says of each what it was and how the next life ended."""
    for ending in count(first, every):
        location = folder / str(ending)
        location.mkdir()
        shutil.copy(empty, location / "mlflow.db")
        code = in_a_process(location, ending)
        rescue = in_a_process(location, None) if code == ENDED else code
        print(ending, code, rescue, flush=True)
        if code != ENDED:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
