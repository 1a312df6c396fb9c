"""omad-search status: a study as it stands, once or as it goes on."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from cli import as_json, looking
from cli.console import out, say
from cli.options import DEFAULT_STORAGE, Json, Storage, StudyIfAny, Tracking

if TYPE_CHECKING:
    from search.slots.view import StudyView

WATCH_SECONDS = 1.0
SHOWN = 1_000
"""Trials of which parameters and curves are read: more than a terminal has lines."""
WATCH_SHARE = 2.0
"""A pause is at least so many times as long as reading took: a large study is not read without end."""

Show = Callable[["StudyView", str], None]
"""Shows a study; with a sentence, that this is how it was before its storage went away."""


def status(
    study: StudyIfAny = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Go on showing it until it has ended; with --json one line a second."),
    ] = False,
    json: Json = False,
) -> None:
    """Show a study: trials in work, best so far, time left, who works at what and until when."""
    if watch:
        _watch(study, storage, tracking, json)
        return
    seen = looking.view(storage, study, tracking, None if json else SHOWN)
    if json:
        as_json.show(seen)
        return
    from cli.live import LiveView

    out().print(LiveView(seen, leases=True))
    _tell_unpublished(seen)
    if seen.wanted in ("moving", "moved"):
        _tell_away(storage, seen.name)


def _tell_away(storage: str, study: str) -> None:
    from search.errors import SpecConflict
    from search.slots.steering import refuse_moved

    with looking.found(storage, study) as (store, handle):
        try:
            refuse_moved(store, handle)
        except SpecConflict as told:
            say(str(told))


def _tell_unpublished(seen: "StudyView") -> None:
    if seen.unpublished:
        numbers = ", ".join(map(str, seen.unpublished))
        say(f"not in MLflow yet: trial {numbers}; `omad-search sync {seen.name}` where they ran sends them")


def _watch(study: str | None, storage: str, tracking: str | None, json: bool) -> None:
    console = out()
    if json:
        _follow(study, storage, tracking, _in_lines(as_json.show_line), recent=None)
        return
    if not console.is_terminal:
        from cli.lines import Lines

        _tell_unpublished(_follow(study, storage, tracking, _in_lines(Lines().show)))
        return
    from rich.live import Live

    from cli.live import LiveView

    with Live(console=console, auto_refresh=False) as live:

        def show(seen: "StudyView", away: str) -> None:
            live.update(LiveView(seen, "Ctrl-C ends this view", away, leases=True), refresh=True)

        seen = _follow(study, storage, tracking, show)
        live.update(LiveView(seen, leases=True), refresh=True)
    _tell_unpublished(seen)


def _in_lines(tell: Callable[["StudyView"], None]) -> Show:
    """Shows what is new on stdout, and on stderr, once, that the storage is away."""
    told: list[str] = []

    def show(seen: "StudyView", away: str) -> None:
        if not away:
            told.clear()
            tell(seen)
        elif not told:
            told.append(away)
            say(away, stderr=True)

    return show


def _follow(
    study: str | None, storage: str, tracking: str | None, show: Show, recent: int | None = SHOWN
) -> "StudyView":
    """Show a study again and again; as it is when it has ended. Raises SpecConflict once it was moved."""
    from search.slots.steering import refuse_moved
    from search.slots.study import open_study

    with looking.found(storage, study) as (store, handle):
        views = _views(lambda: looking.read(store, open_study(store, handle.name), tracking, recent))
        while True:
            seen, away = next(views)
            show(seen, away)
            if seen.ended and not away:
                return seen
            if seen.wanted == "moved":
                refuse_moved(store, open_study(store, handle.name))


def _views(read: Callable[[], "StudyView"]) -> "Iterator[tuple[StudyView, str]]":
    """A study as it is now, or as it was last and that its storage is away. Raises StorageUnavailable at first."""
    from search.errors import StorageUnavailable

    began = time.monotonic()
    seen, away = read(), ""
    while True:
        spent = time.monotonic() - began
        yield seen, away
        time.sleep(max(WATCH_SECONDS, WATCH_SHARE * spent))
        began = time.monotonic()
        try:
            seen, away = read(), ""
        except StorageUnavailable as error:
            away = f"storage away, trying again; this is how it was: {error}"
