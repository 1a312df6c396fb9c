"""Why a database server cannot be used, and what to do next, in plain words instead of a driver's."""

import re

from sqlalchemy.engine import URL

from search.storage.urls import MYSQL, backend

PORTS = {True: 3306, False: 5432}
"""Where a server listens if the address does not say: MySQL's, PostgreSQL's."""

# Messages of PostgreSQL's and MySQL's drivers and servers, and what they mean; the first match counts.
REASONS: tuple[tuple[str, str], ...] = (
    (
        r"[Cc]onnection refused|No such file or directory",
        "nothing listens at {location}; start the database server, or correct the address",
    ),
    (
        r"failed to resolve host|could not translate host|Name or service not known|nodename nor servname|"
        r"[Nn]ame resolution",
        "no host {host} is known here; correct the address",
    ),
    (
        r"timeout expired|timed out|[Nn]o route to host|[Nn]etwork is unreachable|[Hh]ost is down",
        "{location} does not answer; check the address, the network between, and that the server runs",
    ),
    (
        r"password authentication failed|no password supplied|Access denied for user .*\(using password|"
        r'authentication failed|[Rr]ole "[^"]*" does not exist|is not permitted to log in',
        "the server at {location} refuses the login of {user}; check user and password ({secrets})",
    ),
    (
        r"no pg_hba\.conf entry|is not allowed to connect to this|Access denied for user",
        "the server at {location} does not admit {user} to the database {database} from here; have its administrator "
        "allow it",
    ),
    (
        r'[Dd]atabase "[^"]*" does not exist|Unknown database',
        "the server at {location} has no database {database}; create it, or correct its name",
    ),
    (
        r"too many clients|[Tt]oo many connections|remaining connection slots",
        "the server at {location} has no connection left; try again, or have it allow more (max_connections)",
    ),
    (
        r"the database system is|terminating connection|server closed the connection|Lost connection|"
        r"server has gone away|connection is closed",
        "the server at {location} broke the connection off; wait until it runs again",
    ),
    (
        r"[Dd]eadlock|[Ll]ock wait timeout|could not serialize access|canceling statement due to lock timeout",
        "others at {location} hold what this write needs; try again",
    ),
)
ELSE = "{text}; check the address, that the server runs, user and password ({secrets})"
SECRETS = {True: "URL, OMAD_STORAGE", False: "URL, PGPASSFILE, OMAD_STORAGE"}
"""Where the user and the password of MySQL and of PostgreSQL come from."""


def meaning(text: str, url: URL) -> str:
    """What a driver's message means, and what to do; one of no known kind stands for itself."""
    known = (phrase for pattern, phrase in REASONS if re.search(pattern, text))
    host, location = _location(url)
    return next(known, ELSE).format(
        text=text,
        location=location,
        host=repr(host),
        user=f"user {url.username!r}" if url.username else "this user",
        database=repr(url.database or ""),
        secrets=SECRETS[backend(url) is MYSQL],
    )


def _location(url: URL) -> tuple[str, str]:
    """Host, and where the server listens, as a phrase."""
    options = {key: value for key, value in url.query.items() if isinstance(value, str)}
    socket = options.get("unix_socket")
    host = url.host or options.get("host") or "localhost"
    if socket or host.startswith("/"):
        return host, f"the socket {socket or host}"
    port = url.port or options.get("port") or PORTS[backend(url) is MYSQL]
    return host, f"{host}, port {port}"
