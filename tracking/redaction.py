"""Hides passwords and tokens in addresses, before they are shown, logged or stored."""

import re
from pathlib import Path

FILE = "sqlite:///"
HIDDEN = "***"

_SECRET_NAMES = (
    "password|passwd|pwd|pass|secret|token|access_token|api_key|apikey|access_key|secret_key|sslpassword"
)
_DATABASE_PASSWORD = re.compile(r"(?P<head>(?!https?:)\b[a-zA-Z][\w+.-]*://[^\s:@/'\"]*:)[^\s'\"]+@")
"""Database addresses allow any character in a password, `/` and `@` too: up to the last `@`."""
_WEB_LOGIN = re.compile(r"(?P<head>\bhttps?://)[^\s/?#'\"]+@", re.IGNORECASE)
"""In web addresses a user alone may be a token, so all of it goes."""
_ASSIGNMENT = re.compile(
    rf"(?P<head>\b(?:{_SECRET_NAMES})(?:=|%3D))(?:'[^']*'|\"[^\"]*\"|[^&;,\s'\")]+)", re.IGNORECASE
)
_CONNECT_STRING = re.compile(r"(?P<head>\bodbc_connect=)[^&\s'\"]+", re.IGNORECASE)


def redact(text: str) -> str:
    """The same text, with the passwords and tokens of every address in it hidden."""
    text = _CONNECT_STRING.sub(rf"\g<head>{HIDDEN}", text)
    text = _ASSIGNMENT.sub(rf"\g<head>{HIDDEN}", text)
    text = _WEB_LOGIN.sub(rf"\g<head>{HIDDEN}@", text)
    return _DATABASE_PASSWORD.sub(rf"\g<head>{HIDDEN}@", text)


def shown_address(address: str) -> str:
    """An address as it may be shown: without a password, a database file of the working folder by its name there."""
    path = Path(address.removeprefix(FILE))
    if address.startswith(FILE) and path.is_relative_to(Path.cwd()):
        return f"{FILE}{path.relative_to(Path.cwd())}"
    return redact(address)
