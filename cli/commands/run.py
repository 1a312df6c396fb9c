"""omad-search run: a study from its creation to its report."""

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.completion import complete_study
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
    TaskIfAny,
    Tracking,
    Workers,
    WorkersOrNone,
)
from cli.setup.request import read_request
from cli.show.console import out, say
from cli.show.numbers import count

if TYPE_CHECKING:
    from cli.setup.creation import OpenedStudy


def run(
    task: TaskIfAny = None,
    study: Annotated[
        str | None,
        typer.Option(
            "--study", metavar="NAME", autocompletion=complete_study, help="Name; without it, the task's."
        ),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="Budget; a larger one extends a study.")
    ] = None,
    env_steps: EnvSteps = None,
    seeds: Seeds = None,
    study_seed: StudySeed = None,
    workers: WorkersOrNone = None,
    devices: Devices = "auto",
    profile: Profile = None,
    set_: Set = [],  # noqa: B006 - typer reads it and never changes it
    reuse: Annotated[
        str | None,
        typer.Option(
            "--reuse",
            metavar="STUDY",
            help="A study of this storage whose best trial a new study begins with.",
        ),
    ] = None,
    no_confirm: NoConfirm = False,
) -> None:
    """Search: train trials until the budget is used, confirm the best on held-out seeds, then report.

    The same command again continues.
    """
    from tracking.mlflow.probe import probe_server

    probe_server(tracking)  # before the seconds that the imports below take
    from cli.process.placement import plan, plan_for
    from cli.process.study_execution import StudyExecution, bring_to_end
    from cli.setup.creation import build, open_for_running, reuse_best
    from cli.setup.existing_study import existing_spec, require_study
    from omad_core.envs import make_spec
    from search.checkpoints.workdir import open_workdir
    from search.storage.store import open_storage, probe_storage
    from search.study import catalog
    from search.study.confirmation import refuse_new_name
    from tracking.mlflow.tracker import MlflowTracker

    # Whatever can be refused is refused here: what follows makes databases and runs.
    numbers = {"trials": trials, "seeds": seeds, "seed": study_seed}
    requested = dataclasses.replace(
        read_request(task, profile, numbers, env_steps, set_), confirm=not no_confirm
    )
    name = study or catalog.find(task).name if task else require_study(storage, study)
    probe_storage(storage)
    spec = existing_spec(storage, name, requested, tracking, reuse)
    enqueue: list[dict[str, Any]] = []
    if spec is None:
        spec = build(requested, study, plan(devices, workers, 1).has_gpu)
        refuse_new_name(spec.name)
        if reuse is not None:
            spec, enqueue = reuse_best(storage, reuse, spec)
    make_spec(spec.task, spec.config.env)
    if workers != 0:
        open_workdir().check()
    if not out().is_terminal:
        say(f"study {name}: opening {_redact(storage)}", stderr=True)
    tracker = MlflowTracker(tracking)
    tracker.check()
    tracker.check_study(spec.experiment)
    with open_storage(storage, create=True) as store:
        opened = open_for_running(store, tracker, spec, requested, enqueue)
        _announce(opened)
        if workers == 0:
            _print_how_to_join(opened, profile)
            return
        planned = partial(plan_for, devices, workers)
        code = bring_to_end(
            StudyExecution(store, tracker, opened, storage, tracking, planned, confirm=not no_confirm)
        )
    raise typer.Exit(code)


def _redact(address: str) -> str:
    from tracking.redaction import redact

    return redact(address)


def _announce(opened: "OpenedStudy") -> None:
    name = opened.handle.name
    if opened.added:
        say(f"study {name}: extended by {count(opened.added, 'trial')}", stderr=True)
    elif not opened.created:
        say(f"study {name} exists: continuing it with its stored settings", stderr=True)
    if not opened.created and opened.spec.origin is None:
        say(
            f"study {name} was begun by an older release, which did not keep its study file: a file is not compared",
            stderr=True,
        )


def _print_how_to_join(opened: "OpenedStudy", profile: str | None) -> None:
    """Say how workers join a study that this command does not train."""
    name, spec = opened.handle.name, opened.spec
    if opened.created:
        size = "" if profile else " (this machine's; --profile says another)"
        say(
            f"study {name} is created: {count(spec.trials, 'trial')} of {spec.task}, profile {spec.profile}{size}"
        )
    say(
        "Nothing is trained here (--workers 0). Workers join from machines with the same storage and MLflow server:"
    )
    say(f"  omad-search worker {name}")
    say(f"  omad-search launch slurm {name} --workers 16")
    say(
        f"Look at it: omad-search status {name} --watch. `omad-search run --study {name}` makes the report at its end."
    )


def confirm(
    study: StudyName,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top", min=1, max=100, help="How many of the best trials; without it 1, or what the study says."
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            min=2,
            max=1_000,
            help="Held-out seeds, the same for all; without it 5, or what the study says.",
        ),
    ] = None,
    env_steps: Annotated[
        int | None,
        typer.Option("--env-steps", min=1, help="Environment steps of a training; without it the search's."),
    ] = None,
    workers: Workers = None,
    devices: Devices = "auto",
) -> None:
    """Confirm: train the best trials and the defaults again on seeds that no search has seen, then report.

    What was confirmed before stays, and is not trained again. The same command again continues.
    """
    from tracking.mlflow.probe import probe_server

    probe_server(tracking)  # before the seconds that the imports below take
    from cli.process.placement import plan_for
    from cli.process.study_execution import StudyExecution, bring_to_end
    from cli.setup.confirmation import open_for_confirming
    from search.checkpoints.workdir import open_workdir
    from search.storage.store import open_storage
    from tracking.mlflow.tracker import MlflowTracker

    open_workdir().check()
    tracker = MlflowTracker(tracking)
    with open_storage(storage) as store:
        opened = open_for_confirming(store, tracker, study, top, seeds, env_steps)
        planned = partial(plan_for, devices, workers)
        code = bring_to_end(StudyExecution(store, tracker, opened, storage, tracking, planned, search=False))
    raise typer.Exit(code)
