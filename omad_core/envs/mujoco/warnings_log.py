"""MuJoCo's own warnings in our log: left alone, it writes them to a file in the working folder."""

import contextlib
import logging
from collections.abc import Iterator

import mujoco

log = logging.getLogger(__name__)


def log_warnings() -> None:
    """Log from now on what MuJoCo warns of (an unstable simulation), unless someone else listens already."""
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_warn)


@contextlib.contextmanager
def reading_a_model() -> Iterator[None]:
    """Log at debug level what the compiler says of a model that is gymnasium's and not the user's to mend."""
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(_debug)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


def _warn(text: str) -> None:
    log.warning("MuJoCo: %s", text)


def _debug(text: str) -> None:
    log.debug("MuJoCo: %s", text)
