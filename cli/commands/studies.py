"""omad-search studies: what a storage holds; study files: shown, begun, checked."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from cli.completion import complete_task
from cli.options import DEFAULT_STORAGE, EnvSteps, Json, Profile, Set, Storage
from cli.show import json_output, numbers, stdout
from cli.show.console import next_step, out, say
from cli.show.help import HelpfulCommand, HelpfulGroup
from cli.show.tables import FoldingTable

if TYPE_CHECKING:
    from search.view.views import StudyView


studies = typer.Typer(
    cls=HelpfulGroup, help="List the studies of a storage; show, begin and check study files."
)
Task = Annotated[
    str, typer.Argument(metavar="NAME", autocompletion=complete_task, help="A study's name, or a study file.")
]


@studies.command("show", cls=HelpfulCommand, epilog="Example: omad-search studies show hopper --profile gpu")
def show(
    name: Task,
    profile: Profile = None,
    env_steps: EnvSteps = None,
    set_: Set = [],  # noqa: B006 - typer reads it and never changes it
    stored: Annotated[
        bool, typer.Option("--stored", help="As the storage has it, since `run` began it.")
    ] = False,
    storage: Storage = DEFAULT_STORAGE,
    json: Json = False,
) -> None:
    """Show what a study searches and trains, and which layer overrode what."""
    from cli.process.placement import plan
    from cli.setup.lookup import open_study_for_reading
    from cli.setup.request import read_request
    from cli.show.study_spec import SpecView, record
    from search.study import catalog
    from search.study.study_spec import StudySpec

    if stored:
        with open_study_for_reading(storage, name) as (store, handle):
            spec, source = StudySpec.from_json(handle.spec), f"stored in {store.address}"
    else:
        study = catalog.find(name)
        requested = read_request(name, profile, {}, env_steps, set_)
        spec = catalog.build(study, requested, has_gpu=plan("auto", None, 1).has_gpu)
        source = study.path or "comes with omad-search"
    if json:
        json_output.show(record(spec, source))
    else:
        out().print(SpecView(spec, source))
        next_step(f"run --study {name}" if stored else f"run --task {name}")


@studies.command("new", cls=HelpfulCommand, epilog="Example: omad-search studies new mine --from hopper")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new study.")],
    from_: Annotated[
        str,
        typer.Option(
            "--from", metavar="STUDY", autocompletion=complete_task, help="The shipped study it extends."
        ),
    ] = "hopper",
    profile: Profile = None,
) -> None:
    """Write a study file of your own, with all that it may change as comments."""
    from omad_core import settings
    from omad_core.errors import ConfigError
    from search.study import catalog
    from search.study.files.folders import user_folders
    from search.study.files.template import new_study_file
    from search.study.request import StudyRequest

    if from_ not in catalog.list_shipped():
        raise ConfigError(settings.unknown("study to extend", from_, catalog.list_shipped()))
    file = user_folders()[0] / f"{name}.toml"
    if file.exists() or name in catalog.list_shipped():
        raise ConfigError(f"a study {name!r} exists already; choose another name")
    spec = catalog.build(catalog.find(from_), StudyRequest(profile=profile), has_gpu=False, name=name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(new_study_file(name, spec, from_), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from None
    say(f"{file} is written; edit it, then: omad-search run --task {name}")


@studies.command("validate", cls=HelpfulCommand, epilog="Example: omad-search studies validate mine.toml")
def validate(file: Task) -> None:
    """Check a study file with every profile, and that its task can be made."""
    from omad_core.envs import make_spec
    from omad_core.errors import ConfigError
    from search.study import catalog
    from search.study.request import StudyRequest

    study = catalog.find(file)
    refusals = []
    for profile in study.profiles:
        try:
            spec = catalog.build(study, StudyRequest(profile=profile), has_gpu=False)
            make_spec(spec.task, spec.config.env)
        except ConfigError as error:
            refusals.append(ConfigError(f"profile {profile}: {error}"))
            say(f"{profile}: refused")
            continue
        say(
            f"{profile}: {numbers.count(spec.trials, 'trial')} of {numbers.count(spec.config.env_steps, 'step')}, "
            f"{len(spec.space.paths)} settings searched"
        )
    if refusals:
        raise refusals[0]
    say(f"{Path(study.path) if study.path else study.name} is a study")
    next_step(f"run --task {file}")


@studies.callback(invoke_without_command=True)
def list_all(context: typer.Context, storage: Storage = DEFAULT_STORAGE, json: Json = False) -> None:
    """List the studies of a storage with what has become of them; or show, begin and check study files."""
    stdout.reserve()
    if context.invoked_subcommand is not None:
        return
    from search.confirmation.pair import in_pairs
    from search.slots.studies import list_studies
    from search.storage.store import look_into
    from search.view import status

    with look_into(storage) as store, store.snapshot() as moment:
        handles = in_pairs(list_studies(moment))
        views = [(handle.created_at, status.read(moment, handle, recent=0)) for handle in handles]
        address = store.address
    if json:
        json_output.show([_record(created, view) for created, view in views])
    elif views:
        out().print(FoldingTable(_table(views)))
        next_step(f"status {views[0][1].name}")
    else:
        say(f"storage {address} holds no study; omad-search run --task hopper begins one")


def _table(views: "list[tuple[float, StudyView]]") -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for title in ("study", "task", "profile", "state"):
        table.add_column(title, no_wrap=title == "study")
    for title in ("trials", "best", "defaults", "begun"):
        table.add_column(title, justify="right", no_wrap=True)
    for created, view in views:
        best, default = (None, None) if view.parent else (view.best, view.default)
        table.add_row(
            f"  {view.name}" if view.parent else view.name,
            view.task,
            view.profile,
            _state(view),
            f"{_ended(view)}/{len(view.trials)}",
            numbers.score(best.score if best else None),
            numbers.score(default.score if default else None),
            datetime.fromtimestamp(created).strftime("%Y-%m-%d %H:%M"),
        )
    return table


def _state(view: "StudyView") -> str:
    if view.ended:
        return "ended"
    if view.wanted == "running":
        return f"{view.count('running')} in work" if view.count("running") else "nobody works on it"
    return view.wanted


def _ended(view: "StudyView") -> int:
    return sum(trial.ended for trial in view.trials)


def _record(created: float, view: "StudyView") -> dict[str, object]:
    best = None if view.parent else view.best
    return {
        "name": view.name,
        "parent": view.parent or None,
        "task": view.task,
        "profile": view.profile,
        "wanted": view.wanted,
        "trials": len(view.trials),
        "ended": _ended(view),
        "running": view.count("running"),
        "best_trial": best.number if best else None,
        "best_score": best.score if best else None,
        "created_at": created,
    }
