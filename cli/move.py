"""omad-search move: a study to another storage, half-trained trials included."""

from typing import Annotated

import typer

from cli.console import say
from cli.options import DEFAULT_STORAGE, Storage, StudyName


def move(
    study: StudyName,
    to: Annotated[
        str,
        typer.Option(
            "--to", envvar="OMAD_MOVE_TO", metavar="URL", help="The new storage; made if it is empty."
        ),
    ],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Move a study to another storage, such as from SQLite to PostgreSQL; refused while workers are at it.

    Its MLflow runs, and with them curves, models and checkpoints, stay where they are.
    """
    from omad_core.errors import ConfigError
    from search import budget, moving
    from search.storage import open_storage
    from search.study import open_study
    from search.urls import parse

    if parse(storage) == parse(to):
        raise ConfigError("--to names the storage in which the study is already")
    with open_storage(storage) as source, open_storage(to, create=True) as target:
        moved = moving.move(source, open_study(source, study), target)
        counts = budget.counts(target, moved.study_id)
        ended = counts.done + counts.failed
        say(
            f"study {study} is in {target.address} now: {ended} of {counts.total} trials ended, "
            f"{counts.resumable} half-trained; `omad-search worker {study} --storage {target.address}` goes on"
        )
