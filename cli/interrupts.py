"""Ctrl-C: one word and exit code 130, wherever Python is when it comes.

Python raises KeyboardInterrupt between any two of its steps, so also in the middle of an import or of a callback of
the interpreter. There it may be turned into another error, or printed and dropped. Its arrival is therefore kept.
"""

import _thread
import os
import signal
import sys

TYPE_CHECKING = False  # what is built in or loaded already is imported here, since Ctrl-C may come meanwhile
if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType

INTERRUPTED = 130
RAISE_AGAIN_SECONDS = 0.05
_arrived = False


def install() -> None:
    """Keep that an interrupt has arrived, and raise again one that the interpreter drops."""
    signal.signal(signal.SIGINT, _handle)
    sys.unraisablehook = _handle_unraisable


def install_last() -> None:
    """From here on the interpreter is ending: an interrupt ends it at once."""
    if signal.getsignal(signal.SIGINT) is _handle:
        signal.signal(signal.SIGINT, _leave)


def arrived() -> bool:
    """Whether there was an interrupt that no command took for its own, as `run` does."""
    return _arrived


def report() -> int:
    """Say the one word; the exit code."""
    sys.stderr.write("interrupted\n")
    return INTERRUPTED


def _handle(number: int, frame: "FrameType | None") -> None:
    global _arrived
    _arrived = True
    raise KeyboardInterrupt


def _leave(number: int, frame: "FrameType | None") -> None:
    report()
    sys.stderr.flush()
    os._exit(INTERRUPTED)


def _handle_unraisable(dropped: "UnraisableHookArgs") -> None:
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(dropped)
        return
    import threading

    # Not from here: what this hook raises is dropped too.
    threading.Timer(RAISE_AGAIN_SECONDS, _thread.interrupt_main).start()
