"""Patience: writes are retried while the database is unavailable."""

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from search.errors import StorageUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_SECONDS = 600.0
"""How long a worker retries while its database is unavailable."""
LONGEST_PAUSE = 15.0


def patiently(action: Callable[[], T], patience_seconds: float = PATIENCE_SECONDS) -> T:
    """The action's answer, tried again with growing, jittered pauses. Raises StorageUnavailable in the end.

    Only for actions that may be repeated: all writes of `slots`, `binding` and `endings` may.
    """
    end = time.monotonic() + patience_seconds
    pause = 0.25
    while True:
        try:
            return action()
        except StorageUnavailable as error:
            left = end - time.monotonic()
            if left <= 0:
                raise
            log.warning("%s; trying again for %.0f s", error, left)
        time.sleep(min(left, pause * random.uniform(0.5, 1.0)))
        pause = min(pause * 2, LONGEST_PAUSE)
