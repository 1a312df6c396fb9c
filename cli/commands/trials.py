"""omad-search trials: every trial of a study with its parameters and result."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.options import DEFAULT_STORAGE, Json, Storage, StudyIfAny
from cli.setup import lookup
from cli.show import json_output
from cli.show.console import next_step, one_line, out

if TYPE_CHECKING:
    from search.view.views import StudyView, TrialView


def trials(study: StudyIfAny = None, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """List the trials of a study: state, parameters, learning curve, score, worker and MLflow run."""
    view = lookup.view(storage, study, None)
    if json:
        json_output.show(view.trials)
        return
    _print(view)
    if view.best is not None and not view.parent:
        next_step(f"best {view.name}", f"export {view.name} --trial {view.best.number} --to policy")


def _print(study: "StudyView") -> None:
    from cli.show.status import SHORT_NAMES, SPARE, listed_parameters, trial_table
    from cli.show.tables import drop_columns, fits

    console = out()
    begun: Sequence[TrialView] = [trial for trial in study.trials if trial.state != "waiting"]
    wide = fits(console, trial_table(study, begun, wide=True), console.width)
    short = console.width < SHORT_NAMES
    table = trial_table(study, begun, wide, console.options.ascii_only, short=short)
    console.print(drop_columns(console, table, console.width, SPARE))
    for trial in begun:
        if trial.note:
            console.print(f"trial {trial.number}: {one_line(trial.note)}")
    waiting = study.count("waiting")
    if waiting:
        console.print(f"{waiting} more {'waits' if waiting == 1 else 'wait'} for a worker")
    if not wide:
        console.print(listed_parameters(begun))
