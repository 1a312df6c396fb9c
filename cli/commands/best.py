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
    view, held_out = lookup.view_of_pair(storage, study, tracking)
    if view.parent:  # its trials are single trainings: what they showed is said of the search
        view, held_out = lookup.view_of_pair(storage, view.parent, tracking)
    trial = lookup.with_model(view.best, tracking)
    if json:
        from search.view.confirmation import as_document

        json_output.show(
            {
                "study": view.name,
                "confirmation": None if held_out is None else as_document(held_out),
                "best": trial,
                "default": lookup.with_model(view.default, tracking),
            }
        )
        return
    if trial is None:
        say(f"no trial of study {view.name} has completed yet", stderr=True)
        raise typer.Exit(FAILURE)
    if held_out is not None:
        from cli.show.report import confirmed_sentence, confirmed_table, other_candidates

        out().print(confirmed_sentence(held_out), confirmed_table(held_out), *other_candidates(held_out))
    default = view.default
    say(f"{view.name}: trial {trial.number} has the best score in the search, {numbers.score(trial.score)}")
    if default is not None and default.ended and default.number != trial.number:
        say(f"the defaults, trial {default.number}, have {numbers.score(default.score)}")
    out().print(_parameters(trial, default))
    if trial.run_id:
        say(f"MLflow run {trial.run_id}")
    if trial.model_uri:
        say(f"evaluate it: omad-search evaluate {trial.model_uri}")
        next_step(f"export {view.name} --to policy")


def _parameters(trial: "TrialView", default: "TrialView | None") -> "FoldingTable":
    from cli.show.report import parameter_table
    from cli.show.tables import FoldingTable

    return FoldingTable(parameter_table(trial, default))
