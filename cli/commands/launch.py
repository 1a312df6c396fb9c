"""omad-search launch: workers on Slurm, Ray or Kubernetes."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.console import say
from cli.options import DEFAULT_STORAGE, Storage, StudyIfAny, Tracking


def launch(
    where: Annotated[Literal["slurm", "ray", "kubernetes"], typer.Argument(help="What starts them.")],
    workers: Annotated[int, typer.Option("--workers", min=1, max=10_000, metavar="N", help="How many.")],
    study: StudyIfAny = None,
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    cpus: Annotated[int, typer.Option("--cpus", min=1, help="CPU cores of a worker.")] = 1,
    gpus: Annotated[
        float, typer.Option("--gpus", min=0, max=8, help="GPUs of a worker; with Ray also a part of one.")
    ] = 0.0,
    grace: Annotated[int, typer.Option("--grace", min=1, help="Seconds to leave in when preempted.")] = 30,
    hours: Annotated[int, typer.Option("--hours", min=1, help="Slurm: time limit of a job.")] = 24,
    partition: Annotated[str | None, typer.Option("--partition", help="Slurm: partition.")] = None,
    folder: Annotated[Path, typer.Option("--folder", help="Slurm: folder of scripts and logs.")] = Path(
        ".omad/slurm"
    ),
    image: Annotated[
        str, typer.Option("--image", help="Kubernetes: image with omad-search.")
    ] = "omad-search:latest",
    secret: Annotated[
        str, typer.Option("--secret", help="Kubernetes: Secret with OMAD_STORAGE and MLFLOW_TRACKING_URI.")
    ] = "omad-search",
    namespace: Annotated[str, typer.Option("--namespace", help="Kubernetes: namespace.")] = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be started.")] = False,
) -> None:
    """Start workers of a study on Slurm, Ray or Kubernetes, which place, queue and restart them."""
    import json

    from search.worker import kubernetes, launching

    environment = {"OMAD_STORAGE": storage} | ({"MLFLOW_TRACKING_URI": tracking} if tracking else {})
    job = launching.Job(
        study or _only_study(storage), workers, environment, cpus=cpus, gpus=gpus, grace_seconds=grace
    )
    if where == "kubernetes":
        document = json.dumps(kubernetes.manifest(job, image, secret, namespace), indent=2)
        say(document if dry_run else kubernetes.kubectl(document))
        return
    if dry_run:
        say(f"{workers} x {launching.shown(job.words)} ({cpus} CPUs, {gpus:g} GPUs each) on {where}")
        return
    if where == "slurm":
        options: dict[str, Any] = {"timeout_min": hours * 60} | (
            {"slurm_partition": partition} if partition else {}
        )
        jobs = launching.slurm(job, folder, **options)
        say(f"{len(jobs)} workers submitted as {jobs[0].job_id} and following; logs in {folder}")
        return
    _wait_for_ray(launching.ray(job))


def _only_study(storage: str) -> str:
    from cli.looking import found

    with found(storage, None) as (_, handle):
        return handle.name


def _wait_for_ray(started: list[Any]) -> None:
    import ray

    say(f"{len(started)} workers are Ray actors now; they end with this command", stderr=True)
    codes: list[int] = ray.get([answer for _, answer in started])
    raise typer.Exit(max(codes))
