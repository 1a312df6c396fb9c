"""omad-search trials: every trial of a study with its parameters and result."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli import as_json, looking
from cli.console import out
from cli.options import DEFAULT_STORAGE, Json, Storage, StudyIfAny

if TYPE_CHECKING:
    from search.slots.view import StudyView, TrialView


def trials(study: StudyIfAny = None, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """List the trials of a study: state, parameters, learning curve, score, worker and MLflow run."""
    seen = looking.view(storage, study, None)
    if json:
        as_json.show(seen.trials)
        return
    _print(seen)


def _print(study: "StudyView") -> None:
    from cli.live import fits, trial_table

    console = out()
    begun: Sequence[TrialView] = [trial for trial in study.trials if trial.state != "waiting"]
    wide = fits(console, trial_table(study, begun, wide=True), console.width)
    console.print(trial_table(study, begun, wide, console.options.ascii_only))
    for trial in begun:
        if trial.note:
            console.print(f"trial {trial.number}: {trial.note}")
    waiting = study.count("waiting")
    if waiting:
        console.print(f"{waiting} more wait for a worker")
    if not wide:
        console.print("Parameters need a wider terminal, or --json.", style="dim")
