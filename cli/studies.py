"""omad-search studies: what a storage holds."""

from datetime import datetime
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from cli import as_json, words
from cli.console import out, say
from cli.options import DEFAULT_STORAGE, Json, Storage

if TYPE_CHECKING:
    from search.slots.view import StudyView


def studies(storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """List the studies of a storage with what has become of them."""
    from search.slots import status
    from search.slots.study import list_studies
    from search.storage.store import look_into

    with look_into(storage) as store:
        seen = [(handle.created_at, status.read(store, handle, recent=0)) for handle in list_studies(store)]
        address = store.address
    if json:
        as_json.show([_record(created, view) for created, view in seen])
    elif seen:
        out().print(_table(seen))
    else:
        say(f"storage {address} holds no study; omad-search run --task hopper begins one")


def _table(seen: "list[tuple[float, StudyView]]") -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for title in ("study", "task", "profile", "state"):
        table.add_column(title, no_wrap=title == "study")
    for title in ("trials", "best", "defaults", "begun"):
        table.add_column(title, justify="right", no_wrap=True)
    for created, view in seen:
        best, default = view.best, view.default
        table.add_row(
            view.name,
            view.task,
            view.profile,
            _state(view),
            f"{_ended(view)}/{len(view.trials)}",
            words.score(best.score if best else None),
            words.score(default.score if default else None),
            datetime.fromtimestamp(created).strftime("%Y-%m-%d %H:%M"),
        )
    return table


def _state(view: "StudyView") -> str:
    if view.ended:
        return "ended"
    if view.wanted == "running":
        return f"{view.count('running')} in work" if view.count("running") else "nobody works on it"
    return view.wanted


def _ended(view: "StudyView") -> int:
    return sum(trial.ended for trial in view.trials)


def _record(created: float, view: "StudyView") -> dict[str, object]:
    best = view.best
    return {
        "name": view.name,
        "task": view.task,
        "profile": view.profile,
        "wanted": view.wanted,
        "trials": len(view.trials),
        "ended": _ended(view),
        "running": view.count("running"),
        "best_trial": best.number if best else None,
        "best_score": best.score if best else None,
        "created_at": created,
    }
