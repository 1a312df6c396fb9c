"""omad-search run: a study from its creation to its report."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import wishes
from cli.console import out, say
from cli.options import (
    DEFAULT_STORAGE,
    Devices,
    EnvSteps,
    Profile,
    Seeds,
    Set,
    Storage,
    StudySeed,
    Tracking,
    Workers,
)

if TYPE_CHECKING:
    from cli.devices import Plan
    from cli.opening import Opened
    from cli.watching import Watch
    from search.slots.study import StudyHandle
    from search.slots.view import StudyView
    from search.storage.store import Store
    from tracking.tracker import Tracker


def run(
    task: Annotated[
        str | None,
        typer.Option("--task", help="A task of `omad-search tasks`, a study file, or module:factory."),
    ] = None,
    study: Annotated[
        str | None, typer.Option("--study", metavar="NAME", help="Name; without it, the task's.")
    ] = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="Budget; a larger one extends a study.")
    ] = None,
    env_steps: EnvSteps = None,
    seeds: Seeds = None,
    study_seed: StudySeed = None,
    workers: Workers = None,
    devices: Devices = "auto",
    profile: Profile = None,
    set_: Set = [],  # noqa: B006 - typer reads it and never changes it
) -> None:
    """Search: train trials until the budget is used, then report. The same command again continues."""
    from tracking.knock import knock

    knock(tracking)  # before the seconds that the imports below take
    from cli.devices import plan, plan_for
    from cli.opening import build, open_for_running
    from omad_core.envs import make_spec
    from search.storage.store import open_storage, probe
    from tracking.mlflow_tracker import MlflowTracker

    numbers = {"trials": trials, "seeds": seeds, "seed": study_seed}
    given = wishes.given(task or _task_of(study, storage), profile, numbers, env_steps, set_)
    spec = build(given, study, plan(devices, workers, 1).has_gpu)
    make_spec(spec.task, spec.config.env)  # what cannot be made is told before anything is written
    if not out().is_terminal:
        say(f"study {spec.name}: opening {_shown(storage)}", stderr=True)
    probe(storage)  # before anything is made: a wrong address leaves nothing behind
    tracker = MlflowTracker(tracking)
    tracker.check()
    with open_storage(storage, create=True) as store:
        opened = open_for_running(store, tracker, spec, given)
        code = _work(store, tracker, opened, partial(plan_for, devices, workers), storage, tracking)
    raise typer.Exit(code)


def _task_of(study: str | None, storage: str) -> str:
    """The task of a study that exists: continuing it needs no more than its name. Raises StudyNotFound."""
    from omad_core.errors import ConfigError
    from search.errors import StorageEmpty, StudyNotFound
    from search.slots.study import open_study
    from search.spec import catalog
    from search.spec.spec import StudySpec
    from search.storage.store import open_storage

    if study is None:
        raise ConfigError("which task? Write --task hopper; `omad-search tasks` lists them all")
    try:
        with open_storage(storage) as store:
            return StudySpec.from_json(open_study(store, study).spec).task
    except StorageEmpty:
        missing = f"there is no study {study!r} to continue: storage {_shown(storage)} holds none yet"
    except StudyNotFound as error:
        missing = str(error)
    task = study if study in catalog.shipped() else f"hopper --study {study}"
    raise StudyNotFound(
        f"{missing}. A new study needs its task: `omad-search run --task {task}` begins one, "
        "`omad-search tasks` lists them all"
    )


def _shown(address: str) -> str:
    from tracking.redact import redact

    return redact(address)


def _work(
    store: "Store",
    tracker: Any,
    opened: "Opened",
    planned: Callable[[int], "Plan"],
    storage: str,
    tracking: str | None,
) -> int:
    """Run workers until nothing is left to do; then the report. Returns the exit code."""
    from cli.team import tell_failures
    from cli.watching import Watch, supervisor
    from search.records.home import open_home
    from search.slots import budget

    handle = opened.handle
    _announce(opened)
    left = budget.counts(store, handle.study_id)
    if left.ended and not left.unpublished:
        return _conclude(store, tracker, opened, None)
    home = open_home()
    workplan = planned(left.total - left.done - left.failed)
    watch = Watch(
        supervisor(workplan, handle, home, storage, tracking), store, handle, _shown(tracker.address)
    )
    view = watch.run()
    if watch.workers.failed:
        code = tell_failures(watch.workers)
        if not view.ended:
            return code
    if watch.interrupted or not view.ended:
        return _tell_interrupted(watch, view)
    return _conclude(store, tracker, opened, view)


def _announce(opened: "Opened") -> None:
    if opened.added:
        say(f"study {opened.handle.name}: extended by {opened.added} trials", stderr=True)
    elif not opened.created:
        say(f"study {opened.handle.name} exists: continuing it with its stored settings", stderr=True)


def _conclude(store: "Store", tracker: "Tracker", opened: "Opened", view: "StudyView | None") -> int:
    from cli.report import Report
    from search.records import results
    from search.slots import status

    seen = view or status.read(store, opened.handle, "")
    if view is None:
        more = len(seen.trials) + 10
        say(f"study {seen.name} is finished; `--trials {more}` gives it more trials", stderr=True)
    say(
        f"evaluating the best model, the defaults and random play on {opened.spec.final_episodes} fresh episodes",
        stderr=True,
    )
    code = _tell_unpublished(store, opened.handle)
    found = results.report(seen, opened.spec, tracker)
    results.store(found, opened.spec, tracker, opened.run_id)
    out().print(Report(found, commands(seen, opened)), crop=False)
    return code


def _tell_unpublished(store: "Store", handle: "StudyHandle") -> int:
    """Say what MLflow does not have, and the report thus lacks; the exit code."""
    from cli.errors import FAILURE
    from search.records.home import open_home
    from search.slots import budget

    count = len(budget.unpublished(store, handle.study_id))
    if not count:
        return 0
    results, them = ("1 result", "it") if count == 1 else (f"{count} results", "them")
    say(
        f"{results} could not be sent to MLflow, so the report may lack models; why, say the logs in "
        f"{open_home().logs(handle.name, handle.uid)}. `omad-search sync {handle.name}` sends {them}, "
        "then this command again makes the report",
        stderr=True,
    )
    return FAILURE


def commands(view: "StudyView", opened: "Opened") -> list[tuple[str, str]]:
    """What to type next."""
    name, task = opened.handle.name, opened.spec.task
    again = f"omad-search run --task {task}" + (f" --study {name}" if name != task else "")
    return [
        ("omad-search ui", "look at trials, curves and models in the MLflow UI"),
        (f"omad-search evaluate models:/omad-{name}@champion", "evaluate the best model again"),
        (f"{again} --trials {len(view.trials) + 10}", "give it ten more trials"),
    ]


def _tell_interrupted(watch: "Watch", view: "StudyView") -> int:
    from cli.errors import INTERRUPTED

    ended = sum(trial.ended for trial in view.trials)
    say(
        f"stopped with {ended} of {len(view.trials)} trials ended; the same command again continues",
        stderr=True,
    )
    return INTERRUPTED if watch.interrupted else 1
