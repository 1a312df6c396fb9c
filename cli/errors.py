"""The one border where errors become a sentence and an exit code."""

import logging
import traceback
from collections.abc import Callable

import typer
from typer.exceptions import TyperException

from cli.console import err, say
from omad_core.errors import ConfigError, OmadError, TaskError
from search.errors import SearchError, SpecConflict, StudyNotFound
from tracking.errors import TrackingError

FAILURE, USAGE, INTERRUPTED = 1, 2, 130

log = logging.getLogger(__name__)


def guarded(command: Callable[[], int], debug: bool) -> int:
    """The exit code of a command; what it raises is told in one sentence, with `debug` after its traceback."""
    try:
        return command()
    except Exception as error:  # noqa: BLE001 - the outermost border: nothing may leave it as a traceback
        if debug:
            traceback.print_exc()
        return _tell(error, debug)
    except KeyboardInterrupt:
        say("interrupted", stderr=True)
        return INTERRUPTED


def _tell(error: Exception, debug: bool) -> int:
    match error:
        case TyperException():
            return _say(error.format_message(), USAGE if error.exit_code == USAGE else FAILURE)
        case typer.Abort():
            return _say("aborted", INTERRUPTED)
        case ConfigError() | TaskError() | SpecConflict() | StudyNotFound():
            return _say(str(error), USAGE)
        case OmadError() | SearchError() | TrackingError():
            return _say(str(error), FAILURE)
        case BrokenPipeError():
            return FAILURE  # whoever read our output has gone: nobody is left to be told
    hint = "" if debug else " (--debug shows the traceback)"
    return _say(f"unexpected {type(error).__name__}: {_first_line(error)}{hint}", FAILURE)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "no message")


def _say(sentence: str, code: int) -> int:
    from tracking.redact import redact

    err().print(f"error: {redact(sentence)}", soft_wrap=True, style="red")
    return code
