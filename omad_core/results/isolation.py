"""Isolation: a measurement in a process of its own, so that an environment that ends its process ends no more."""

import logging
import signal
import sys
import warnings
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

import torch

from omad_core.errors import EnvironmentFailed, OmadError

T = TypeVar("T")

SILENT_SECONDS = 300.0
"""An environment that answers nothing for longer hangs; all that are played at once are made within it."""
TICK_SECONDS = 2.0
"""Looked at so often: time in which this process was suspended counts as one look."""

Progress = Callable[[int, int], None]
"""(episodes that have ended, environment steps played), after every step."""

POSSIBLE = sys.platform == "linux"
"""Elsewhere a forked process may not use what its parent has opened."""


def apart(task: str, measure: Callable[[Progress], T], progress: Progress) -> T:
    """What a measurement of a task gives.

    Raises EnvironmentFailed for what it raises, where its process dies, and where it is silent for too long.
    """
    context = get_context("fork")  # nothing that is measured need be sent
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(measure, theirs), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which that process has no use for
        process.start()
    theirs.close()
    try:
        while True:
            _await_word(task, ours)
            match ours.recv():
                case "progress", ended, steps:
                    progress(ended, steps)
                case "result", result:
                    answer: T = result
                    return answer
                case "failed", sentence:
                    raise EnvironmentFailed(sentence)
    except EOFError:
        process.join()
        code = process.exitcode or 0
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise EnvironmentFailed(f"{task} ended the process that it was played in ({how})") from None
    finally:
        process.kill()
        process.join()
        ours.close()


def _await_word(task: str, pipe: Connection) -> None:
    """Until there is something to read. Raises EnvironmentFailed."""
    silent = 0.0
    while not pipe.poll(TICK_SECONDS):
        silent += TICK_SECONDS
        if silent >= SILENT_SECONDS:
            raise EnvironmentFailed(
                f"{task} hangs: no step of it has returned for {silent:.0f} s; it is ended"
            )


def _measure(measure: Callable[[Progress], T], pipe: Connection) -> None:
    """In the other process; Ctrl-C is answered by its parent, which ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)  # its handlers may belong to threads of the parent's
    torch.set_num_threads(1)  # those of the parent are not there
    try:
        answer = measure(lambda ended, steps: pipe.send(("progress", ended, steps)))
    except OmadError as error:
        pipe.send(("failed", str(error)))
    else:
        pipe.send(("result", answer))
