"""The one border where errors become a sentence and an exit code."""

import errno
import logging
import traceback
from collections.abc import Callable

import typer
from typer.exceptions import TyperException

from cli import interrupts
from cli.show.console import say
from omad_core.errors import ConfigError, OmadError, TaskError
from search.errors import AddressRefused, SearchError, SpecConflict, StudyDeleted, StudyNotFound
from tracking.errors import TrackingAddressRefused, TrackingError

FAILURE, USAGE, INTERRUPTED = 1, 2, interrupts.INTERRUPTED
EXIT_CODES = {
    0: "done; a `worker` also where a signal sent it away and its trials are handed back (`--stopped-code` has it "
    "say another)",
    FAILURE: "failed: an address that does not answer, no complete trial, results that are not in MLflow, something "
    "that `doctor` finds wrong; one sentence on standard error says which",
    USAGE: "wrongly asked: an unknown command, option, setting, task or study, or options that contradict the stored "
    "study; asked again unchanged it is refused again",
    INTERRUPTED: "interrupted by Ctrl-C; `run`, `compare`, `confirm` and `worker` have written checkpoints, and the "
    "same command again continues",
}
"""What a command's exit code means."""

MACHINE = {
    errno.ENOSPC: "free some space, then the same command again",
    errno.EDQUOT: "free some space, then the same command again",
    errno.EROFS: "have it writable, or begin in another folder",
    errno.EMFILE: "`ulimit -n 4096` allows more",
    errno.ENFILE: "close other programs, then the same command again",
}
"""What to do where this machine, and no fault of anybody's, ends a command."""

log = logging.getLogger(__name__)


class Interrupted(Exception):
    """A KeyboardInterrupt on its way through typer."""


def run_guarded(command: Callable[[], int], debug: bool) -> int:
    """The exit code of a command; what it raises is printed as one sentence, with `debug` after its traceback.

    Raises KeyboardInterrupt, also where an interrupt has become another error on its way.
    """
    try:
        return command()
    except Exception as error:
        if isinstance(error, Interrupted | typer.Abort) or interrupts.arrived():
            raise KeyboardInterrupt from error
        if debug:
            traceback.print_exc()
        return _print_error(error, debug)


def _print_error(error: Exception, debug: bool) -> int:
    match error:
        case TyperException():
            return _print_sentence(error.format_message(), USAGE if error.exit_code == USAGE else FAILURE)
        case StudyDeleted():
            return _print_sentence(str(error), FAILURE)
        case ConfigError() | TaskError() | SpecConflict() | StudyNotFound():
            return _print_sentence(str(error), USAGE)
        case AddressRefused() | TrackingAddressRefused():
            return _print_sentence(str(error), USAGE)
        case OmadError() | SearchError() | TrackingError():
            return _print_sentence(str(error), FAILURE)
        case BrokenPipeError():
            return FAILURE  # whoever read our output is gone
        case OSError() if error.errno in MACHINE:
            where = f": {error.filename}" if error.filename else ""
            return _print_sentence(f"{error.strerror}{where}; {MACHINE[error.errno]}", FAILURE)
    hint = "" if debug else " (--debug shows the traceback)"
    return _print_sentence(f"unexpected {type(error).__name__}: {_first_line(error)}{hint}", FAILURE)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "no message")


def _print_sentence(sentence: str, code: int) -> int:
    from tracking.redaction import redact

    say(f"error: {redact(sentence)}", stderr=True, style="red")
    return code
