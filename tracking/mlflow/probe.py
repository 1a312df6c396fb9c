"""A first connection to a tracking server or its proxy, before the seconds that importing MLflow takes."""

import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies

from tracking.errors import TrackingUnavailable
from tracking.redaction import redact

SECONDS = 1.0
"""How long a server may take to accept a connection."""
PORTS = {"http": 80, "https": 443}
NO_SUCH_HOST = "no such host is known here; correct the address"
NOTHING_LISTENS = "nothing listens there; start the server, or correct the address"


def probe_server(uri: str | None) -> None:
    """Raise TrackingUnavailable where no tracking server can be; whether there is one, `Tracker.check` finds out."""
    address = uri if uri is not None else os.environ.get("MLFLOW_TRACKING_URI", "")
    if _host_and_port(address) is None:
        return
    proxy = proxy_of(address)
    endpoint = _host_and_port(address if proxy is None else proxy.address)
    if endpoint is None:
        return
    try:
        socket.create_connection(endpoint, timeout=SECONDS).close()
    except ConnectionRefusedError as error:
        raise TrackingUnavailable(unreachable("server", address, NOTHING_LISTENS)) from error
    except socket.gaierror as error:
        raise TrackingUnavailable(unreachable("server", address, NO_SUCH_HOST)) from error
    except OSError:
        return  # slow, or out of reach: `check` waits longer and finds out which


def unreachable(kind: str, address: str, reason: str) -> str:
    """The sentence for a tracking store that is away."""
    return f"The tracking {kind} {redact(address)} cannot be reached: {_through_proxy(address, reason)}."


@dataclass(frozen=True)
class Proxy:
    """The proxy that requests to a server go through."""

    variable: str
    """The variable of the environment that names it."""
    address: str


def proxy_of(address: str) -> Proxy | None:
    """The proxy that `requests` uses for an address, by HTTP_PROXY and the like; None where NO_PROXY excludes it."""
    proxies = getproxies()
    if not proxies or _host_and_port(address) is None:
        return None
    from requests import utils  # only here: imported in a quarter of a second

    proxy = utils.select_proxy(address, utils.get_environ_proxies(address))
    return None if proxy is None else Proxy(_variable(proxy), utils.prepend_scheme_if_needed(proxy, "http"))


def proxy_note(address: str) -> str:
    """A sentence to add where the answer may be a proxy's; empty where there is none."""
    proxy = proxy_of(address)
    return "" if proxy is None else f" Requests to it {_path(proxy)}; {_way_out(address)}."


def _through_proxy(address: str, reason: str) -> str:
    """Why a server cannot be reached, where it is a proxy that cannot be."""
    proxy = proxy_of(address)
    if proxy is None:
        return reason
    return f"requests to it {_path(proxy)}, and {reason.partition(';')[0]}; {_way_out(address)}"


def _path(proxy: Proxy) -> str:
    return f"go through the proxy {redact(proxy.address)} ({proxy.variable})"


def _way_out(address: str) -> str:
    excluded = [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), urlsplit(address).hostname]
    return f"to reach it directly: export NO_PROXY={','.join(filter(None, excluded))}"


def _variable(proxy: str) -> str:
    """The name of the variable that holds a proxy's address."""
    named = [name for name, value in os.environ.items() if name.lower().endswith("_proxy") and value == proxy]
    return min(named, default="the system's settings")


def _host_and_port(address: str) -> tuple[str, int] | None:
    """Host and port of a server's address; None for databases, and what is no address."""
    try:
        parts = urlsplit(address)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return None if parts.scheme not in PORTS or parts.hostname is None else (parts.hostname, port)
