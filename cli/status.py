"""omad-search status: a study as it stands."""

import time
from typing import Annotated

import typer

from cli import as_json, looking
from cli.console import out, say
from cli.options import DEFAULT_STORAGE, Json, Storage, StudyIfAny, Tracking

WATCH_SECONDS = 1.0


def status(
    study: StudyIfAny = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it until it has ended.")] = False,
    json: Json = False,
) -> None:
    """Show a study: trials in work, best so far, time left."""
    if watch and not json:
        _watch(study, storage, tracking)
        return
    seen = looking.view(storage, study, tracking)
    if json:
        as_json.show(seen)
        return
    from cli.live import LiveView

    out().print(LiveView(seen))
    if seen.unpublished:
        numbers = ", ".join(map(str, seen.unpublished))
        say(f"not in MLflow yet: trial {numbers}; `omad-search sync {seen.name}` where they ran sends them")


def _watch(study: str | None, storage: str, tracking: str | None) -> None:
    from rich.live import Live

    from cli.live import LiveView
    from search.slots import status as reading

    with looking.found(storage, study) as (store, handle):
        seen = reading.read(store, handle, looking.recorded(handle, tracking))
        with Live(LiveView(seen), console=out(), auto_refresh=False) as live:
            while not seen.ended:
                time.sleep(WATCH_SECONDS)
                seen = reading.read(store, handle, looking.recorded(handle, tracking))
                live.update(LiveView(seen), refresh=True)
