"""Shared by all rooms: a quiet, single-threaded process."""

import logging
import os
from collections.abc import Iterator

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _levels_of_logs() -> Iterator[None]:
    """A command under test sets them for its process, which here goes on with other tests."""
    loggers = [logging.getLogger(room) for room in ("cli", "search", "tracking", "omad_core")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)
