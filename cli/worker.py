"""omad-search worker: one worker of a study, or several, on this or any other machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import DEFAULT_STORAGE, Storage, StudyName, Tracking, Workers

if TYPE_CHECKING:
    from cli.one_worker import Manner
    from search.home import Home

GRACE_SECONDS, PATIENCE_SECONDS = 30.0, 600.0
MOST_SECONDS = 1e6


def worker(
    study: StudyName,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    workers: Workers = None,
    devices: Annotated[
        str | None,
        typer.Option(
            "--devices", metavar="auto|cpu|0,1", help="Where several workers train: GPUs, or the CPU."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="cpu|cuda:N", help="Where one worker, in this process, trains."),
    ] = None,
    pack: Annotated[int, typer.Option("--pack", min=1, help="Trials trained side by side.")] = 1,
    threads: Annotated[int, typer.Option("--threads", min=1, help="torch threads of one worker.")] = 1,
    home: Annotated[
        Path | None, typer.Option("--home", envvar="OMAD_HOME", help="Where checkpoints are kept.")
    ] = None,
    grace: Annotated[
        float,
        typer.Option(
            "--grace",
            min=1,
            max=MOST_SECONDS,
            metavar="SECONDS",
            help="After SIGTERM, checkpoint and leave within this.",
        ),
    ] = GRACE_SECONDS,
    storage_patience: Annotated[
        float,
        typer.Option(
            "--storage-patience",
            min=0,
            max=MOST_SECONDS,
            metavar="SECONDS",
            help="Bear an absent storage for this.",
        ),
    ] = PATIENCE_SECONDS,
) -> None:
    """Train trials of a study until it has ended. Ctrl-C: checkpoint, hand back, leave.

    Without --workers and --devices it is one worker in this process.
    """
    from cli.one_worker import Manner, work
    from omad_core.errors import ConfigError
    from search.home import open_home

    place = open_home(str(home) if home else None)
    manner = Manner(device or "cpu", pack, threads, grace, storage_patience)
    if workers is None and devices is None:
        work(study, storage, tracking, place, manner)
        return
    if device is not None:
        raise ConfigError("--device is for one worker; with --workers or --devices leave it out")
    raise typer.Exit(_team(study, storage, tracking, place, manner, workers, devices or "auto"))


def _team(
    study: str,
    storage: str,
    tracking: str | None,
    home: "Home",
    manner: "Manner",
    workers: int | None,
    devices: str,
) -> int:
    """What one of them would meet is met here first: a wrong address ends this command, not each worker."""
    from cli.devices import plan
    from cli.team import lead
    from cli.watching import supervisor
    from search import budget
    from search.steering import refuse_moved
    from search.storage import open_storage
    from search.study import open_study
    from tracking.mlflow_tracker import MlflowTracker

    MlflowTracker(tracking).check()
    with open_storage(storage) as store:
        handle = open_study(store, study)
        refuse_moved(store, handle)
        options = ["--pack", str(manner.pack), "--grace", str(manner.grace_seconds)]
        options += ["--storage-patience", str(manner.patience_seconds)]
        left = budget.counts(store, handle.study_id)
        chosen = plan(devices, workers, max(1, left.total - left.done - left.failed))
    return lead(supervisor(chosen, handle, home, storage, tracking, options), manner.grace_seconds)
