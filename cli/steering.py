"""omad-search pause, resume, stop, extend, retry: what a person asks of a study that exists."""

from typing import Annotated

import typer

from cli import looking
from cli.console import say
from cli.options import DEFAULT_STORAGE, Storage, StudyName


def pause(study: StudyName, storage: Storage = DEFAULT_STORAGE) -> None:
    """Have all workers write checkpoints, hand their trials back and wait."""
    from search.slots import steering

    with looking.found(storage, study) as (store, handle):
        steering.want(store, handle, "paused")
    say(f"study {study} is paused: its workers write checkpoints and wait; `omad-search resume` goes on")


def resume(study: StudyName, storage: Storage = DEFAULT_STORAGE) -> None:
    """Let the workers of a paused study go on."""
    from search.slots import budget, steering

    with looking.found(storage, study) as (store, handle):
        steering.want(store, handle, "running")
        counts = budget.counts(store, handle.study_id)
    left = counts.total - counts.done - counts.failed
    say(f"study {study} goes on, {left} of {counts.total} trials are left; `omad-search worker` adds workers")


def stop(study: StudyName, storage: Storage = DEFAULT_STORAGE) -> None:
    """Have all workers write checkpoints, hand their trials back and leave."""
    from search.slots import steering

    with looking.found(storage, study) as (store, handle):
        steering.want(store, handle, "stopping")
    say(f"study {study} is stopping: its workers write checkpoints and leave; `omad-search run` continues it")


def extend(
    study: StudyName,
    trials: Annotated[
        str, typer.Option("--trials", metavar="+N|N", help="+50: fifty more; 200: two hundred in all.")
    ],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Give a study a larger budget, while it runs or after it has ended."""
    from search.slots import steering

    with looking.found(storage, study) as (store, handle):
        added, total = steering.extend(store, handle, trials)
    say(f"study {study}: {added} trials added, {total} in all")


def retry(
    study: StudyName,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False,
    trial: Annotated[
        list[int],
        typer.Option("--trial", min=0, metavar="N", help="The failed trial of this number. Repeatable."),
    ] = [],  # noqa: B006 - typer reads it and never changes it
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Give failed trials another try: new trials with the same parameters in their places of the budget."""
    from omad_core.errors import ConfigError
    from search.slots import steering

    if failed == bool(trial):
        raise ConfigError("which trials? Write --failed for all that failed, or --trial N")
    with looking.found(storage, study) as (store, handle):
        numbers = steering.retry(store, handle, trial or None)
    again = ", ".join(map(str, numbers))
    say(
        f"study {study}: will try again with the parameters of trial {again}"
        if numbers
        else "no trial has failed"
    )
