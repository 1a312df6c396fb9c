"""What users' code may change of this process: settings are put back, and a copy of the process does not go on."""

import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import numpy as np
import torch

Handler = Callable[[int, FrameType | None], Any] | int | None
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
"""Those that a command or a worker answers to."""
_handler_of: Callable[[int], Handler] = importlib.import_module("_signal").getsignal
"""The call itself: what `signal` lays around it takes thirty times as long."""


class Settings:
    """The working folder, signals, torch's default type and gradients, and NumPy's errors as they are now."""

    def __init__(self) -> None:
        self._handlers = {number: _handler_of(number) for number in SIGNALS}
        self._dtype, self._gradients = torch.get_default_dtype(), torch.is_grad_enabled()
        self._errors, self._folder = np.geterr(), _working_folder()

    def restore(self) -> None:
        """Have them as they were."""
        if torch.get_default_dtype() is not self._dtype:
            torch.set_default_dtype(self._dtype)
        if torch.is_grad_enabled() is not self._gradients:
            torch.set_grad_enabled(self._gradients)
        if np.geterr() != self._errors:
            np.seterr(**self._errors)
        if self._folder is not None and _working_folder() != self._folder:
            with suppress(OSError):  # it is gone
                os.chdir(self._folder)
        if threading.current_thread() is not threading.main_thread():
            return
        for number, handler in self._handlers.items():
            if handler is not None and _handler_of(number) is not handler:
                signal.signal(number, handler)


def _working_folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - a path's object takes longer than the call
    except OSError:  # it is gone
        return None


def leave_copy(error: BaseException | None) -> NoReturn:
    """End a process that users' code forked off and that came back from it: only its parent is this program."""
    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif error is not None:
        traceback.print_exception(error)
        code = 1
    sys.stderr.flush()
    os._exit(code)
