"""Page: its content as one HTML file that loads nothing: plots' data, plotly.js packed once, styles and script."""

import base64
import gzip
import json
import re
import secrets
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from search.reports.page.content import PageContent

TEMPLATES = Path(__file__).parent / "template"
PACKING = 5
"""Of gzip's levels: the next ones take twice the time for a hundredth."""
_CODE = re.compile(r"`([^`]+)`")


def render(content: PageContent) -> str:
    """The file. Whatever it shows is escaped; only the script of the page runs, by a number used once."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"prose": _prose, "data": _data}
    return environment.get_template("page.html.j2").render(
        page=content,
        css=Markup(_asset("page.css")),
        script=Markup(_asset("page.js")),
        plotly=Markup(_plotly()),
        nonce=secrets.token_urlsafe(16),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=_version(),
    )


def _prose(text: str) -> Markup:
    """A sentence; what stands between backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def _data(figure: Any) -> Markup:
    """A figure as JSON that no browser takes for markup."""
    text: str = json.dumps(json.loads(figure.to_json()), separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), PACKING, mtime=0)).decode()


def _version() -> str:
    try:
        return version("omad-search")
    except PackageNotFoundError:
        return "of a source tree"
