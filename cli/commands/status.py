"""omad-search status: a study at this moment, once or continuously."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cli.options import DEFAULT_STORAGE, Json, Storage, StudyIfAny, Tracking
from cli.setup import lookup
from cli.show import json_output
from cli.show.console import next_step, out, say

if TYPE_CHECKING:
    from rich.console import RenderableType

    from search.storage.store import Store
    from search.view.confirmation import ConfirmationView
    from search.view.views import StudyView

WATCH_SECONDS = 1.0
SHOWN = 1_000
"""Trials of which parameters and curves are read: more than a terminal has lines."""
WATCH_SHARE = 2.0
"""A pause is at least so many times as long as reading took: a large study is not read without end."""

CREATION_SECONDS = 60.0
"""How long after the end of a search its confirmation may be begun: workers send the last results first."""

V = TypeVar("V")
Show = Callable[["StudyView", str], None]
"""Shows a study; with a sentence, as it was before its storage became unavailable."""


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
    """Show a study or a comparison: trials in work, best so far, time left, who works at what and until when."""
    if study is not None and lookup.is_comparison(storage, study):
        _show_comparison(storage, study, tracking, watch, json)
        return
    if watch:
        _watch(study, storage, tracking, json)
        return
    current, held_out = lookup.view_of_pair(storage, study, tracking, None if json else SHOWN)
    if json:
        json_output.show(json_output.plain(current) | {"confirmation": _document(held_out)})
        return
    from cli.show.status import StatusView

    out().print(StatusView(current, leases=True, whole=True))
    _print_failures(current)
    _tell_unpublished(current)
    if held_out is not None:
        _print_confirmation(held_out)
    if current.wanted in ("moving", "moved"):
        _say_moved(storage, current.name)
    elif current.ended and (current.parent or current.best is not None):
        next_step(f"best {current.parent or current.name}")


def _show_comparison(storage: str, name: str, tracking: str | None, watch: bool, json: bool) -> None:
    from cli.show.comparison import status as comparison_status
    from search.comparison import tables, view

    with lookup.open_searches_for_reading(storage, name) as (store, handles):
        views = _views(lambda: view.read(store, handles, lookup.tracking_address(handles[0], tracking)))
        if json:
            for comparison, _ in views:
                if not watch:
                    json_output.show(tables.document(comparison))
                    return
                json_output.show_line(tables.document(comparison))
                if comparison.ended:
                    return
        elif watch:
            comparison_status.watch(views)
        else:
            comparison_status.show(next(views)[0])


def _document(held_out: "ConfirmationView | None") -> dict[str, object] | None:
    if held_out is None:
        return None
    from search.view.confirmation import as_document

    return {**as_document(held_out), "trials": held_out.study.trials, "wanted": held_out.study.wanted}


def _print_confirmation(held_out: "ConfirmationView") -> None:
    """Below its search, indented."""
    from rich.padding import Padding

    from cli.show.report import confirmed_sentence, confirmed_table, other_candidates
    from cli.show.status import StatusView

    shown: list[RenderableType] = [confirmed_sentence(held_out), confirmed_table(held_out)]
    shown += other_candidates(held_out)
    if not held_out.study.ended:
        shown.append(StatusView(held_out.study, leases=True, whole=True))
    for each in shown:
        out().print(Padding(each, (0, 0, 0, 2)))
    _tell_unpublished(held_out.study)


def _say_moved(storage: str, study: str) -> None:
    from search.errors import SpecConflict
    from search.steering.commands import refuse_moved

    with lookup.open_study_for_reading(storage, study) as (store, handle):
        try:
            refuse_moved(store, handle)
        except SpecConflict as told:
            say(str(told))


def _print_failures(study: "StudyView") -> None:
    """Say why trials failed, reasons grouped."""
    from cli.show.plain_lines import failure_lines

    for line in failure_lines(study):
        say(line)


def _tell_unpublished(study: "StudyView") -> None:
    if study.unpublished:
        numbers = ", ".join(map(str, study.unpublished))
        say(f"not in MLflow yet: trial {numbers}; `omad-search sync {study.name}` where they ran sends them")


def _watch(study: str | None, storage: str, tracking: str | None, json: bool) -> None:
    console = out()
    if json:
        _follow(study, storage, tracking, _in_lines(json_output.show_line), recent=None)
        return
    if not console.is_terminal:
        from cli.show.plain_lines import PlainLines

        lines: dict[str, PlainLines] = {}

        def tell(study: "StudyView") -> None:
            lines.setdefault(study.name, PlainLines()).show(study)

        current = _follow(study, storage, tracking, _in_lines(tell))
        _print_end(current, storage, tracking)
        return
    from rich.live import Live

    from cli.show.status import StatusView

    with Live(console=console, auto_refresh=False) as live:

        def show(study: "StudyView", outage: str) -> None:
            live.update(StatusView(study, "Ctrl-C ends this view", outage, leases=True), refresh=True)

        current = _follow(study, storage, tracking, show)
        live.update(StatusView(current, leases=True), refresh=True)
    _print_end(current, storage, tracking)


def _print_end(study: "StudyView", storage: str, tracking: str | None) -> None:
    """What was wrong, and where its confirmation was followed to its end what that showed."""
    _print_failures(study)
    if not study.parent:
        _tell_unpublished(study)
        return
    _, held_out = lookup.view_of_pair(storage, study.parent, tracking, SHOWN)
    if held_out is not None:
        _print_confirmation(held_out)


def _in_lines(tell: Callable[["StudyView"], None]) -> Show:
    """Print what is new to stdout and, once per outage, to stderr that the storage is unavailable."""
    told: list[str] = []

    def show(study: "StudyView", outage: str) -> None:
        if not outage:
            told.clear()
            tell(study)
        elif not told:
            told.append(outage)
            say(outage, stderr=True)

    return show


def _follow(
    study: str | None, storage: str, tracking: str | None, show: Show, recent: int | None = SHOWN
) -> "StudyView":
    """Show a study again and again; as it is when it has ended. Raises SpecConflict once it was moved."""
    from search.slots.studies import open_study, refuse_deleted
    from search.steering.commands import refuse_moved

    with lookup.open_study_for_reading(storage, study) as (store, handle):

        def read() -> "StudyView":
            refuse_deleted(store, handle)
            return lookup.read_current(store, open_study(store, handle.name), tracking, recent)

        views = _views(read)
        last = float("-inf")  # when something was left to train
        while True:
            current, outage = next(views)
            show(current, outage)
            if not current.ended:
                last = time.monotonic()
            elif not outage and not (time.monotonic() - last < CREATION_SECONDS and _begins(store, current)):
                return current
            if current.wanted == "moved":
                refuse_moved(store, open_study(store, handle.name))


def _begins(store: "Store", study: "StudyView") -> bool:
    """Whether a worker is about to make, or to extend, the confirmation of a search that has just ended."""
    from search.confirmation.creation import lacks
    from search.confirmation.pair import search_of
    from search.errors import StorageUnavailable
    from search.slots.studies import open_study

    try:
        return study.wanted == "running" and lacks(store, search_of(store, open_study(store, study.name)))
    except StorageUnavailable:
        return True


def _views(read: Callable[[], V]) -> Iterator[tuple[V, str]]:
    """A study or comparison now, or as last read with a sentence on the outage; the first read raises it."""
    from search.errors import StorageUnavailable

    began = time.monotonic()
    current, outage = read(), ""
    while True:
        spent = time.monotonic() - began
        yield current, outage
        time.sleep(max(WATCH_SECONDS, WATCH_SHARE * spent))
        began = time.monotonic()
        try:
            current, outage = read(), ""
        except StorageUnavailable as error:
            outage = f"storage away, trying again; this is how it was: {error}"
