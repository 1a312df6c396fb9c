"""omad-search best: the best trial of a study."""

from typing import TYPE_CHECKING

import typer
from rich.table import Table

from cli import as_json, looking, words
from cli.console import out, say
from cli.errors import FAILURE
from cli.options import DEFAULT_STORAGE, Json, Storage, StudyIfAny, Tracking

if TYPE_CHECKING:
    from search.slots.view import TrialView


def best(
    study: StudyIfAny = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    json: Json = False,
) -> None:
    """Show the best trial: its score, its parameters beside the defaults, its MLflow run and model."""
    seen = looking.view(storage, study, tracking)
    found = looking.with_model(seen.best, tracking)
    if json:
        as_json.show(
            {"study": seen.name, "best": found, "default": looking.with_model(seen.default, tracking)}
        )
        return
    if found is None:
        say(f"no trial of study {seen.name} has completed yet", stderr=True)
        raise typer.Exit(FAILURE)
    default = seen.default
    say(f"{seen.name}: trial {found.number} has the best score, {words.score(found.score)}")
    if default is not None and default.ended and default.number != found.number:
        say(f"the defaults, trial {default.number}, have {words.score(default.score)}")
    out().print(_parameters(found, default))
    if found.run_id:
        say(f"MLflow run {found.run_id}")
    if found.model_uri:
        say(f"evaluate it: omad-search evaluate {found.model_uri}")


def _parameters(found: "TrialView", default: "TrialView | None") -> Table:
    from cli.report import parameter_table

    return parameter_table(found, default)
