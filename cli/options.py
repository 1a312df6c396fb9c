"""Options that several commands share: one sentence and one environment variable each."""

import os
from typing import Annotated

import typer

from cli.completion import complete_setting, complete_study, complete_task

DEFAULT_STORAGE = "sqlite:///omad.db"

Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        envvar="OMAD_STORAGE",
        metavar="URL",
        help="Database of the study: sqlite:///FILE, postgresql://USER@HOST/DB or mysql://USER@HOST/DB.",
    ),
]
Tracking = Annotated[
    str | None,
    typer.Option(
        "--tracking",
        envvar="MLFLOW_TRACKING_URI",
        metavar="URI",
        help="MLflow server or database; without it sqlite:///mlflow.db, as MLflow itself does.",
    ),
]
_TASK = typer.Option(
    "--task",
    autocompletion=complete_task,
    help="A task of `omad-search tasks`, a study or its file, or module:factory.",
)
Task = Annotated[str, _TASK]
TaskIfAny = Annotated[str | None, _TASK]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Devices = Annotated[
    str, typer.Option("--devices", metavar="auto|cpu|0,1", help="Where to train: GPUs by number, or the CPU.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, max=1024, metavar="N", help="Worker processes; without it, as many as fit."
    ),
]
WorkersOrNone = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        max=1024,
        metavar="N",
        help="Worker processes; without it, as many as fit. 0 creates all that is to be trained and trains nothing.",
    ),
]
Set = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        autocompletion=complete_setting,
        help="A setting, such as gamma=0.98 or actor.learning_rate=1e-3; it is then no longer searched. Repeatable.",
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="laptop|gpu|paper|smoke",
        help="Size of networks and trials; without it, gpu where there is one and laptop elsewhere.",
    ),
]
EnvSteps = Annotated[int | None, typer.Option("--env-steps", min=1, help="Environment steps of a trial.")]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="Seeds trained in every trial.")]
StudySeed = Annotated[int | None, typer.Option("--study-seed", min=0, help="Seed of the whole study.")]
StudyName = Annotated[
    str,
    typer.Argument(metavar="STUDY", autocompletion=complete_study, help="Name of the study, such as hopper."),
]
Studies = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        autocompletion=complete_study,
        help="Name of the study, such as hopper, or of a comparison: then all of its studies.",
    ),
]
StudyIfAny = Annotated[
    str | None,
    typer.Argument(
        metavar="[STUDY]",
        autocompletion=complete_study,
        help="Name of the study; without it, the only one of the storage.",
    ),
]
NoConfirm = Annotated[
    bool,
    typer.Option(
        "--no-confirm", help="Leave out the training of the best and the defaults on held-out seeds."
    ),
]


def strip_environment() -> None:
    """Take blanks and newlines off the ends of our variables: a mounted secret often ends with one."""
    for name, value in os.environ.items():
        if name.startswith("OMAD_") or name == "MLFLOW_TRACKING_URI":
            os.environ[name] = value.strip()
