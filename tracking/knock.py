"""Knocking at a tracking server's door: a wrong address is told before the seconds that MLflow takes to be imported."""

import os
import socket
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies_environment

from tracking.errors import TrackingUnavailable
from tracking.redact import redact

SECONDS = 1.0
"""How long a server may take to accept a connection."""
PORTS = {"http": 80, "https": 443}
NO_SUCH_HOST = "no such host is known here; correct the address"
NOTHING_LISTENS = "nothing listens there; start the server, or correct the address"


def knock(uri: str | None) -> None:
    """Raise TrackingUnavailable where no tracking server can be; whether there is one, `Tracker.check` finds out."""
    address = uri if uri is not None else os.environ.get("MLFLOW_TRACKING_URI", "")
    place = _place(address)
    if place is None:
        return
    try:
        socket.create_connection(place, timeout=SECONDS).close()
    except ConnectionRefusedError as error:
        raise TrackingUnavailable(unreachable("server", address, NOTHING_LISTENS)) from error
    except socket.gaierror as error:
        raise TrackingUnavailable(unreachable("server", address, NO_SUCH_HOST)) from error
    except OSError:
        return  # slow, or out of reach: those who wait longer say which


def unreachable(kind: str, address: str, reason: str) -> str:
    """The sentence for a tracking store that is away."""
    return f"The tracking {kind} {redact(address)} cannot be reached: {reason}."


def _place(address: str) -> tuple[str, int] | None:
    """Host and port of a server that is asked directly; None for databases, proxies, and what is no address."""
    try:
        parts = urlsplit(address)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    if parts.scheme not in PORTS or parts.hostname is None or _by_proxy(parts):
        return None
    return parts.hostname, port


def _by_proxy(parts: SplitResult) -> bool:
    return not {parts.scheme, "all"}.isdisjoint(getproxies_environment())
