"""Standard output, kept for what a command says: whatever else prints, from Python or from C, goes to stderr.

Environments of users print, and so do the libraries that they use; results may be piped into another program.
"""

import os
import sys
from contextlib import suppress
from typing import TextIO

_reserved: list[TextIO] = []


def stream() -> TextIO:
    """Where results are written."""
    return _reserved[0] if _reserved else sys.stdout


def reserve() -> None:
    """From now on to the end of this process, descriptor 1 is stderr; `stream()` is what it was.

    To the end, as C empties its buffers at exit. Nothing is done where `sys.stdout` has been replaced already.
    """
    if _reserved or sys.stdout is not sys.__stdout__ or sys.stdout is None:
        return
    with suppress(OSError, ValueError):  # one of the two is closed
        sys.stdout.flush()
        descriptor = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        kept = os.fdopen(descriptor, "w", 1, encoding=sys.stdout.encoding, errors=sys.stdout.errors)
        _reserved.append(kept)
        sys.stdout.reconfigure(line_buffering=True)
