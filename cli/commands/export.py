"""omad-search export: a trial's policy as files to take home."""

from pathlib import Path
from typing import Annotated

import typer

from cli import looking
from cli.console import say
from cli.options import DEFAULT_STORAGE, Storage, StudyName, Tracking


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
    from search.records import exporting, results
    from tracking.mlflow_tracker import MlflowTracker

    seen = looking.view(storage, study, tracking)
    chosen = seen.best if trial is None else next((t for t in seen.trials if t.number == trial), None)
    if chosen is None:
        missing = "no complete trial" if trial is None else f"no trial {trial}"
        raise ConfigError(f"study {seen.name} has {missing}; `omad-search trials {seen.name}` lists them")
    with tempfile.TemporaryDirectory(prefix="omad-export-") as folder:
        policy = results.model_of(chosen, MlflowTracker(tracking), Path(folder))
    if policy is None:
        raise ConfigError(
            f"trial {chosen.number} is {chosen.state} and has no model; complete trials have one"
        )
    for file in exporting.export(policy, to):
        say(str(file))
    say(f"evaluate it: omad-search evaluate {to}", stderr=True)
