"""Content: what a page consists of, whatever it is about: sections with words, tables, plots and a film."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass(frozen=True)
class PageTable:
    """A table; the first cell of a row names it."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Plot:
    """A figure, and what is seen on it."""

    title: str
    figure: "Figure"
    note: str = ""
    small: bool = False
    """Whether two stand side by side where there is room."""
    phone: bool = True
    """Whether it can be read on a narrow screen; it is left out there otherwise."""


@dataclass(frozen=True)
class Film:
    """A moving picture; `data:` addresses."""

    moving: str
    still: str
    """Its first frame, for paper and for those who want nothing to move."""
    caption: str


@dataclass(frozen=True)
class Text:
    """Lines to be copied or looked up."""

    title: str
    lines: str
    folded: bool = False
    """Whether it is shown once it is clicked on."""


@dataclass(frozen=True)
class Section:
    """One part of a page. Between backticks in its sentences stands code."""

    anchor: str
    title: str
    lead: str = ""
    """The one sentence to take home."""
    notes: Sequence[str] = ()
    plots: Sequence[Plot] = ()
    tables: Sequence[PageTable] = ()
    texts: Sequence[Text] = ()
    film: Film | None = None


@dataclass(frozen=True)
class PageContent:
    """A whole page."""

    title: str
    summary: str
    """One line below the title."""
    facts: Sequence[tuple[str, str]]
    """Where things are: a name and a value each."""
    sections: Sequence[Section]
