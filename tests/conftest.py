"""Shared by all rooms: a quiet, single-threaded process."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

# A shell starts what it runs in the background with Ctrl-C ignored, and so would be all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs, to be copied: making one takes seconds."""
    from tracking.mlflow.tracker import MlflowTracker

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowTracker(f"sqlite:///{path}").check()
    return path


@pytest.fixture(autouse=True)
def _levels_of_logs() -> Iterator[None]:
    """A command under test sets them for its process, which here goes on with other tests."""
    loggers = [logging.getLogger(room) for room in ("cli", "search", "tracking", "omad_core")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)
