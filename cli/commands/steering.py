"""omad-search pause, resume, stop, extend, retry: what a person asks of a study that exists."""

from typing import Annotated

import typer

from cli.options import DEFAULT_STORAGE, Storage, Studies
from cli.setup import lookup
from cli.show.console import next_step, say
from cli.show.numbers import count


def pause(study: Studies, storage: Storage = DEFAULT_STORAGE) -> None:
    """Have all workers write checkpoints, hand their trials back and wait."""
    from search.steering import commands

    with lookup.open_searches_for_reading(storage, study) as (store, handles):
        for handle in handles:
            paused = commands.pause(store, handle)
            say(
                f"study {handle.name} is paused: its workers write checkpoints and wait; "
                f"`omad-search resume {study}` goes on"
                if paused
                else f"study {handle.name} has ended: there is nothing to pause"
            )


def resume(study: Studies, storage: Storage = DEFAULT_STORAGE) -> None:
    """Resume a paused study."""
    from search.confirmation.pair import pair
    from search.slots import budget
    from search.steering import commands

    with lookup.open_searches_for_reading(storage, study) as (store, handles):
        for handle in handles:
            commands.want(store, handle, "running")
            counts = [budget.counts(store, one.study_id) for one in pair(store, handle)]
            total = sum(one.total for one in counts)
            left = total - sum(one.done + one.failed for one in counts)
            if not left and commands.confirmation_left(store, handle):
                say(
                    f"study {handle.name} goes on with its confirmation; `omad-search worker {study}` adds workers"
                )
                continue
            say(
                f"study {handle.name} goes on, {left} of {count(total, 'trial')} left; "
                f"`omad-search worker {study}` adds workers"
                if left
                else f"study {handle.name} has ended: `omad-search extend {handle.name} --trials +20` adds trials"
            )


def stop(study: Studies, storage: Storage = DEFAULT_STORAGE) -> None:
    """Have all workers write checkpoints, hand their trials back and leave."""
    from search.steering import commands

    with lookup.open_searches_for_reading(storage, study) as (store, handles):
        again = (
            f"`omad-search run --study {study}`"
            if handles[0].name == study
            else "the same `omad-search compare`"
        )
        for handle in handles:
            stopping = commands.stop(store, handle)
            say(
                f"study {handle.name} is stopping: its workers write checkpoints and leave; "
                f"{again} continues it"
                if stopping
                else f"study {handle.name} has ended: there is nothing to stop"
            )


def extend(
    study: Studies,
    trials: Annotated[
        str, typer.Option("--trials", metavar="+N|N", help="+50: fifty more; 200: two hundred in all.")
    ],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Give a study a larger budget, while it runs or after it has ended."""
    from search.steering import commands

    with lookup.open_searches_for_reading(storage, study) as (store, handles):
        for handle in handles:
            added, total = commands.extend(store, handle, trials)
            say(f"study {handle.name}: {count(added, 'trial')} added, {total} in all")
    if len(handles) == 1:
        next_step(f"run --study {study}")


def retry(
    study: Studies,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False,
    trial: Annotated[
        list[int],
        typer.Option("--trial", min=0, metavar="N", help="The failed trial of this number. Repeatable."),
    ] = [],  # noqa: B006 - typer reads it and never changes it
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Give failed trials another try: new trials with the same parameters in their places of the budget."""
    from omad_core.errors import ConfigError
    from search.steering import commands

    if failed == bool(trial):
        raise ConfigError("which trials? Write --failed for all that failed, or --trial N")
    with lookup.open_searches_for_reading(storage, study) as (store, handles):
        if trial and len(handles) > 1:
            raise ConfigError(f"--trial N is of one study: name one of {', '.join(h.name for h in handles)}")
        for handle in handles:
            numbers = commands.retry(store, handle, trial or None)
            again = ", ".join(map(str, numbers))
            say(
                f"study {handle.name}: will try again with the parameters of trial {again}"
                if numbers
                else f"study {handle.name}: no trial has failed"
            )
            if numbers and len(handles) == 1:
                next_step(f"run --study {study}")
