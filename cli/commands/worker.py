"""omad-search worker: one worker of a study, or several, on this or any other machine."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import wishes
from cli.console import say
from cli.options import (
    DEFAULT_STORAGE,
    Devices,
    EnvSteps,
    Profile,
    Seeds,
    Set,
    Storage,
    StudyName,
    StudySeed,
    Tracking,
    Workers,
)

if TYPE_CHECKING:
    from cli.one_worker import Manner
    from search.records.home import Home
    from search.spec.given import Given

GRACE_SECONDS, PATIENCE_SECONDS = 30.0, 600.0
MOST_SECONDS = 1e6


def worker(
    study: StudyName,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    workers: Workers = None,
    devices: Devices = "auto",
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="cpu|cuda:N",
            help="One worker in this process on this device, with nobody to restart it.",
        ),
    ] = None,
    pack: Annotated[int, typer.Option("--pack", min=1, help="Trials trained side by side.")] = 1,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="torch threads of a worker; without it, the cores it has."),
    ] = None,
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
    stopped_code: Annotated[
        int,
        typer.Option(
            "--stopped-code",
            min=0,
            max=255,
            metavar="CODE",
            help="Exit code of workers that a signal sent away, for schedulers that take 0 for done.",
        ),
    ] = 0,
    profile: Profile = None,
    env_steps: EnvSteps = None,
    seeds: Seeds = None,
    study_seed: StudySeed = None,
    set_: Set = [],  # noqa: B006 - typer reads it and never changes it
) -> None:
    """Train trials of a study until it has ended: a worker a GPU, or as many as the CPU has cores for.

    Ctrl-C: checkpoint, hand back, leave. The study's settings are those it was created with; one that is given
    here and differs is refused.
    """
    from cli.one_worker import SUPERVISED, Manner, work
    from omad_core.errors import ConfigError
    from search.records.home import open_home
    from tracking.knock import knock

    if SUPERVISED not in os.environ:
        knock(tracking)  # before the seconds that the imports to come take
    given = wishes.given(None, profile, {"seeds": seeds, "seed": study_seed}, env_steps, set_)
    place = open_home(str(home) if home else None)
    manner = Manner(device or "cpu", pack, threads, grace, storage_patience, stopped_code)
    if device is None:
        raise typer.Exit(_team(study, storage, tracking, place, manner, given, workers, devices))
    if workers is not None or devices != "auto":
        raise ConfigError("--device is for one worker; with --workers or --devices leave it out")
    if work(study, storage, tracking, place, manner, given):
        raise typer.Exit(stopped_code)


def _team(
    study: str,
    storage: str,
    tracking: str | None,
    home: "Home",
    manner: "Manner",
    given: "Given",
    workers: int | None,
    devices: str,
) -> int:
    """What one of them would meet is met here first: a wrong address ends this command, not each worker."""
    from cli.devices import plan
    from cli.joining import join
    from cli.team import lead
    from cli.watching import supervisor
    from search.slots import budget
    from search.storage.store import open_storage
    from tracking.mlflow_tracker import MlflowTracker

    tracker = MlflowTracker(tracking)
    tracker.check()
    with open_storage(storage) as store:
        handle = join(store, study, given, tracker)
        options = ["--pack", str(manner.pack), "--grace", str(manner.grace_seconds)]
        options += ["--storage-patience", str(manner.patience_seconds)]
        left = budget.counts(store, handle.study_id)
        chosen = plan(devices, workers, max(1, left.total - left.done - left.failed), manner.threads)
    started = supervisor(chosen, handle, home, storage, tracking, options)
    code = lead(started, manner.grace_seconds, manner.stopped_code)
    if not code:
        _tell_ended(storage, study)
    return code


def _tell_ended(storage: str, study: str) -> None:
    """Workers make no report: say who does."""
    from search.errors import SearchError
    from search.slots import budget
    from search.slots.study import open_study
    from search.storage.store import open_storage

    with suppress(SearchError), open_storage(storage) as store:
        if budget.counts(store, open_study(store, study).study_id).ended:
            say(
                f"study {study} has ended; where `omad-search run` does not wait for it any more, "
                f"`omad-search run --study {study}` makes its report",
                stderr=True,
            )
