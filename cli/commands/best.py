"""omad-search best: the best trial of a study."""

from typing import TYPE_CHECKING

import typer

from cli.errors import FAILURE
from cli.options import DEFAULT_STORAGE, Json, Storage, StudyIfAny, Tracking
from cli.setup import lookup
from cli.show import json_output, numbers
from cli.show.console import next_step, out, say

if TYPE_CHECKING:
    from cli.show.tables import FoldingTable
    from search.view.views import TrialView


def best(
    study: StudyIfAny = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    json: Json = False,
) -> None:
    """Show the best trial: its score, its parameters beside the defaults, its MLflow run and model."""
    seen, held_out = lookup.view_of_pair(storage, study, tracking)
    if seen.parent:  # its trials are single trainings: what they showed is said of the search
        seen, held_out = lookup.view_of_pair(storage, seen.parent, tracking)
    found = lookup.with_model(seen.best, tracking)
    if json:
        from search.view.confirmation import as_document

        json_output.show(
            {
                "study": seen.name,
                "confirmation": None if held_out is None else as_document(held_out),
                "best": found,
                "default": lookup.with_model(seen.default, tracking),
            }
        )
        return
    if found is None:
        say(f"no trial of study {seen.name} has completed yet", stderr=True)
        raise typer.Exit(FAILURE)
    if held_out is not None:
        from cli.show.report import confirmed_sentence, confirmed_table, other_candidates

        out().print(confirmed_sentence(held_out), confirmed_table(held_out), *other_candidates(held_out))
    default = seen.default
    say(f"{seen.name}: trial {found.number} has the best score in the search, {numbers.score(found.score)}")
    if default is not None and default.ended and default.number != found.number:
        say(f"the defaults, trial {default.number}, have {numbers.score(default.score)}")
    out().print(_parameters(found, default))
    if found.run_id:
        say(f"MLflow run {found.run_id}")
    if found.model_uri:
        say(f"evaluate it: omad-search evaluate {found.model_uri}")
        next_step(f"export {seen.name} --to policy")


def _parameters(found: "TrialView", default: "TrialView | None") -> "FoldingTable":
    from cli.show.report import parameter_table
    from cli.show.tables import FoldingTable

    return FoldingTable(parameter_table(found, default))
