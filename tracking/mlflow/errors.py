"""The border to MLflow: its exceptions, and those of what it stands on, become this room's."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import sqlalchemy.exc
from mlflow.exceptions import ERROR_CODE_TO_HTTP_STATUS, MlflowException, RestException

from tracking.errors import TrackingError, TrackingRefused, TrackingUnavailable
from tracking.mlflow.outage import environment_note, is_outage, sentence
from tracking.redaction import redact

_log = logging.getLogger(__name__)
_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_LOGIN = frozenset({401, 403})
_CLASH = f"/{sqlalchemy.exc.IntegrityError.code})"
"""The end of SQLAlchemy's message when two writers insert one row, for any database; MLflow calls it a bad request."""

_ADMISSION = (
    "If it asks for a login, set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
    "MLFLOW_TRACKING_TOKEN; if it complains of the host name, start it with --allowed-hosts naming that host."
)


@contextmanager
def translate_errors(address: str) -> Iterator[None]:
    """Raise this room's errors for those of a block that calls MLflow; they name `address` without its password."""
    try:
        yield
    except TrackingError:
        raise
    except (MlflowException, requests.RequestException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        _log.debug("MLflow: %s", redact(repr(error)))
        translation = translate(error, address)
        if redact(address) == address:
            raise translation from error
        raise translation from None  # the original's text may hold the password
    except ImportError as error:
        raise TrackingRefused(
            f"The tracking address {redact(address)} needs the package {error.name}, which is not installed "
            "here; for PostgreSQL: pip install 'omad-search[postgres]'."
        ) from error


def translate(error: Exception, address: str) -> TrackingError:
    """The error of this room for one of MLflow, `requests`, SQLAlchemy or the operating system."""
    shown = redact(address)
    if is_outage(error):
        return TrackingUnavailable(sentence(error, address))
    if isinstance(error, MlflowException) and _CLASH in str(error):
        return TrackingUnavailable(f"Another worker wrote to the tracking store {shown} at the same moment.")
    status = _status(error)
    if status in _TRY_AGAIN:
        return TrackingUnavailable(
            f"The tracking store {shown} answers with an error of its own ({status}): its log says which."
            + environment_note(address)
        )
    if status in _LOGIN:
        return TrackingRefused(
            f"The tracking server {shown} refuses this client: {_brief(error)}. {_ADMISSION}"
            + environment_note(address)
        )
    if status is None and isinstance(error, OSError):
        return TrackingError(
            f"Recording to {shown} failed on this machine: {redact(str(error))}." + environment_note(address)
        )
    return TrackingRefused(
        f"The tracking store {shown} does not accept this: {_brief(error)}." + environment_note(address)
    )


def _status(error: Exception) -> int | None:
    """The HTTP status that an error amounts to; None where it has none."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code
    if isinstance(error, MlflowException):
        status = ERROR_CODE_TO_HTTP_STATUS.get(error.error_code, 500)
        # 500 is also what MLflow gives to faults on this side: only a server's own answer counts as one
        return status if isinstance(error, RestException) or status != 500 else 400
    return None


def _brief(error: Exception) -> str:
    """The first lines of an error, without passwords and without its last full stop."""
    text = " ".join(redact(str(error)).partition("[SQL:")[0].partition("(Background on")[0].split())
    return text.rstrip(".") if len(text) <= 300 else f"{text[:300]}.."
