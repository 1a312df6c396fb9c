"""omad-search export and curves: a trial's policy, and all learning curves, as files to take home."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import DEFAULT_STORAGE, Storage, StudyName, Tracking
from cli.setup import lookup
from cli.show.console import say


def export(
    study: StudyName,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="New or empty folder.")],
    trial: Annotated[
        int | None, typer.Option("--trial", min=0, help="Number of the trial; without it, the best one.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
) -> None:
    """Write a trial's policy to a folder: safetensors and JSON, and TorchScript of it without noise."""
    import tempfile

    from omad_core.errors import ConfigError
    from search.reports import export as exporting
    from search.reports import final_report
    from tracking.mlflow.tracker import MlflowTracker

    view = lookup.view(storage, study, tracking)
    chosen = view.best if trial is None else next((t for t in view.trials if t.number == trial), None)
    if chosen is None:
        missing = "no complete trial" if trial is None else f"no trial {trial}"
        raise ConfigError(f"study {view.name} has {missing}; `omad-search trials {view.name}` lists them")
    with tempfile.TemporaryDirectory(prefix="omad-export-") as folder:
        policy = final_report.model_of(chosen, MlflowTracker(tracking), Path(folder))
    if policy is None:
        raise ConfigError(
            f"trial {chosen.number} is {chosen.state} and has no model; complete trials have one"
        )
    for file in exporting.export(policy, to):
        say(str(file))
    say(f"evaluate it: omad-search evaluate {to}", stderr=True)


def curves(study: StudyName, storage: Storage = DEFAULT_STORAGE) -> None:
    """Write every training of a study to standard output: a JSON line each, with its whole learning curve.

    Held-out trainings are among them. What each line has is said in docs/reading-results.md.
    """
    from cli.show.json_output import show_line
    from search.reports.curves import curves as all_curves

    with lookup.open_study_for_reading(storage, study) as (store, handle):
        for training in all_curves(store, handle):
            show_line(training)
