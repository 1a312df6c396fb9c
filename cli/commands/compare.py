"""omad-search compare: algorithms tuned under the same budget, and the best of each on the same held-out seeds."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import (
    DEFAULT_STORAGE,
    Devices,
    EnvSteps,
    Json,
    Profile,
    Set,
    Storage,
    StudySeed,
    Task,
    Tracking,
    WorkersOrNone,
)
from cli.setup.request import read_request
from cli.show.console import out, say
from cli.show.numbers import count

if TYPE_CHECKING:
    from cli.setup.comparison import OpenedComparison


def compare(
    algorithms: Annotated[
        str,
        typer.Option(
            "--algorithms",
            metavar="A,B,...",
            help="Two or more, with commas between them; the others are compared with the first.",
        ),
    ],
    task: Task = "hopper",
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="Of the comparison; without it, the task's and -compare."
        ),
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    trials: Annotated[
        int | None,
        typer.Option("--trials", min=1, help="Budget of each algorithm; a larger one extends all of them."),
    ] = None,
    env_steps: EnvSteps = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            min=3,
            max=1_000,
            help="Held-out seeds of each best and of its defaults; without it 5. Fewer than 3 would have no interval.",
        ),
    ] = None,
    study_seed: StudySeed = None,
    workers: WorkersOrNone = None,
    devices: Devices = "auto",
    profile: Profile = None,
    set_: Set = [],  # noqa: B006 - typer reads it and never changes it
    level: Annotated[
        float | None,
        typer.Option(
            "--level",
            metavar="RETURN",
            help="Count the steps to this return; without it, to the lowest of the tuned ones.",
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            "--page", metavar="FILE.md", help="Write the page here too, its figure and numbers beside it."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compare: tune each algorithm with the same budget, train the best of each again on the same held-out seeds.

    The same command again continues; a further algorithm, more trials or more seeds extend it.
    """
    from tracking.mlflow.probe import probe_server

    probe_server(tracking)  # before the seconds that the imports below take
    from cli.process.comparison_execution import ComparisonExecution, bring_comparison_to_end
    from cli.process.placement import plan, plan_for
    from cli.setup.comparison import comparison_name, open_comparison, plan_members
    from omad_core.envs import make_spec
    from search.checkpoints.workdir import open_workdir
    from search.comparison.algorithms import read_algorithms
    from search.storage.store import open_storage, probe_storage
    from tracking.mlflow.tracker import MlflowTracker

    # Whatever can be refused is refused here: what follows makes databases and runs.
    _refuse_page(page)
    names = read_algorithms(algorithms)
    requested = read_request(task, profile, {"trials": trials, "seed": study_seed}, env_steps, set_)
    comparison = comparison_name(requested, name)
    probe_storage(storage)
    has_gpu = plan(devices, workers or None, 1).has_gpu
    planned = plan_members(storage, tracking, comparison, names, requested, seeds, has_gpu)
    for member in planned:
        make_spec(member.spec.task, member.spec.config.env)
    if workers != 0:
        open_workdir().check()
    if json or not out().is_terminal:
        say(f"comparison {comparison}: {', '.join(names)}", stderr=True)
    tracker = MlflowTracker(tracking)
    tracker.check()
    with open_storage(storage, create=True) as store:
        opened = open_comparison(store, tracker, comparison, planned, seeds)
        _announce(opened)
        if workers == 0:
            _print_how_to_join(opened)
            return
        workers_for = partial(plan_for, devices, workers)
        comparing = ComparisonExecution(
            store, tracker, opened, storage, tracking, workers_for, level, page, json
        )
        code = bring_comparison_to_end(comparing)
    raise typer.Exit(code)


def _refuse_page(page: Path | None) -> None:
    from omad_core.errors import ConfigError
    from search.checkpoints.workdir import try_writing

    if page is not None and page.suffix != ".md":
        raise ConfigError(f"--page {page}: name a Markdown file, such as comparison.md")
    if page is None:
        return
    try:
        try_writing(page.parent)
    except OSError as error:
        raise ConfigError(f"--page {page}: nothing can be written there: {error.strerror}") from error


def _announce(opened: "OpenedComparison") -> None:
    if opened.added:
        say(f"comparison {opened.name}: extended by {count(opened.added, 'trial')}", stderr=True)
    elif not opened.created:
        say(f"comparison {opened.name} exists: continuing it with its stored settings", stderr=True)


def _print_how_to_join(opened: "OpenedComparison") -> None:
    """Say how workers join a comparison that this command does not train."""
    studies = ", ".join(study.handle.name for study in opened.studies)
    if opened.created:
        say(f"comparison {opened.name} is created: studies {studies}")
    say("Workers join all of it from machines with the same storage and MLflow server:")
    say(f"  omad-search worker {opened.name}")
    say("The same command again, without --workers 0, trains here too and makes the report.")
