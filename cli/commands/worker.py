"""omad-search worker: one worker of a study, or several, on this or any other machine."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import (
    DEFAULT_STORAGE,
    Devices,
    EnvSteps,
    NoConfirm,
    Profile,
    Seeds,
    Set,
    Storage,
    StudyName,
    StudySeed,
    Tracking,
    Workers,
)
from cli.setup.request import read_request
from cli.show.console import say

if TYPE_CHECKING:
    from cli.process.worker import WorkerOptions
    from search.checkpoints.workdir import Workdir
    from search.study.request import StudyRequest

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
    no_confirm: NoConfirm = False,
) -> None:
    """Train trials of a study until it has ended: a worker a GPU, or as many as the CPU has cores for.

    A comparison's name stands for all its studies. Ctrl-C: checkpoint, hand back, leave. The study's settings are
    those it was created with; one that is given here and differs is refused.
    """
    from cli.process.worker import SUPERVISED, WorkerOptions, work
    from omad_core.errors import ConfigError
    from search.checkpoints.workdir import open_workdir
    from tracking.mlflow.probe import probe_server

    if SUPERVISED not in os.environ:
        probe_server(tracking)  # before the seconds that the imports to come take
    requested = read_request(None, profile, {"seeds": seeds, "seed": study_seed}, env_steps, set_)
    location = open_workdir(str(home) if home else None)
    if SUPERVISED not in os.environ:
        location.check()
    options = WorkerOptions(
        device or "cpu", pack, threads, grace, storage_patience, stopped_code, not no_confirm
    )
    if device is None:
        raise typer.Exit(_run_group(study, storage, tracking, location, options, requested, workers, devices))
    if workers is not None or devices != "auto":
        raise ConfigError("--device is for one worker; with --workers or --devices leave it out")
    if work(study, storage, tracking, location, options, requested):
        raise typer.Exit(stopped_code)


def _run_group(
    study: str,
    storage: str,
    tracking: str | None,
    home: "Workdir",
    options: "WorkerOptions",
    requested: "StudyRequest",
    workers: int | None,
    devices: str,
) -> int:
    """What one of them would meet is met here first: a wrong address ends this command, not each worker."""
    from cli.process.group import Assignment, build_supervisor, supervise
    from cli.process.placement import plan
    from cli.setup.creation import join
    from search.comparison.members import members
    from search.comparison.work import work_left as comparison_work_left
    from search.confirmation.work import work_left
    from search.storage.store import open_storage
    from search.study.study_spec import StudySpec
    from tracking.mlflow.tracker import MlflowTracker

    tracker = MlflowTracker(tracking)
    tracker.check()
    with open_storage(storage) as store:
        compared = members(store, study)
        joined = [join(store, each.name, requested, tracker) for each in compared]
        handle = joined[0] if joined else join(store, study, requested, tracker)
        argv = ["--pack", str(options.pack), "--grace", str(options.grace_seconds)]
        argv += ["--storage-patience", str(options.patience_seconds)]
        argv += [] if options.confirm else ["--no-confirm"]
        side_by_side = (
            comparison_work_left(store, joined).side_by_side
            if joined
            else work_left(store, handle, confirm=options.confirm).side_by_side
        )
        chosen = plan(devices, workers, max(1, side_by_side), options.threads)
        spec = StudySpec.from_json(handle.spec)
        target = Assignment.comparison(study, spec) if joined else Assignment.study(handle)
    started = build_supervisor(chosen, target, home, storage, tracking, argv)
    code = supervise(started, options.grace_seconds, options.stopped_code)
    if not code:
        _print_ended(storage, study)
    return code


def _print_ended(storage: str, study: str) -> None:
    """Workers make no report: name the command that does."""
    from search.comparison.members import members
    from search.confirmation.pair import pair
    from search.errors import SearchError
    from search.slots import budget
    from search.slots.studies import open_study
    from search.storage.store import open_storage

    with suppress(SearchError), open_storage(storage) as store:
        if members(store, study):
            say(
                f"comparison {study} has nothing left to train here; `omad-search compare` reports",
                stderr=True,
            )
        elif all(budget.counts(store, each.study_id).ended for each in pair(store, open_study(store, study))):
            say(
                f"study {study} has ended; where `omad-search run` does not wait for it any more, "
                f"`omad-search run --study {study}` makes its report",
                stderr=True,
            )
