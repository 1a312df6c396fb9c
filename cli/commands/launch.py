"""omad-search launch: workers on Slurm, Ray or Kubernetes."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.options import DEFAULT_STORAGE, Storage, StudyIfAny, Tracking
from cli.show import numbers
from cli.show.console import next_step, say


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

    from search.launch import kubernetes
    from search.launch.job import Job, command_line
    from search.launch.ray import launch_ray
    from search.launch.slurm import launch_slurm

    environment = {"OMAD_STORAGE": storage} | ({"MLFLOW_TRACKING_URI": tracking} if tracking else {})
    # A manifest is also written where the cluster's database cannot be reached from.
    unseen = where == "kubernetes" and dry_run and study is not None
    name = study if unseen and study else _checked(study, storage, tracking, where != "kubernetes")
    job = Job(name, workers, environment, cpus=cpus, gpus=gpus, grace_seconds=grace)
    if where == "kubernetes":
        document = json.dumps(kubernetes.manifest(job, image, secret, namespace), indent=2)
        say(document if dry_run else kubernetes.kubectl(document))
        next_step(f"status {name} --watch")
        return
    if dry_run:
        say(f"{workers} x {command_line(job.argv)} ({cpus} CPUs, {gpus:g} GPUs each) on {where}")
        return
    if where == "slurm":
        options: dict[str, Any] = {"timeout_min": hours * 60} | (
            {"slurm_partition": partition} if partition else {}
        )
        jobs = launch_slurm(job, folder, **options)
        first = f"{jobs[0].job_id}{' and following' if len(jobs) > 1 else ''}"
        say(f"{numbers.count(len(jobs), 'worker')} submitted as {first}; logs in {folder}")
        next_step(f"status {name} --watch")
        return
    _wait_for_ray(launch_ray(job))


def _checked(study: str | None, storage: str, tracking: str | None, tracked_here: bool) -> str:
    """The study's name. What its workers would be refused for is refused here, before any of them is submitted.

    `tracked_here`: workers get the tracking address of this command, so it is checked too.
    """
    from cli.setup import lookup
    from cli.setup.creation import join
    from search.steering.commands import refuse_idle
    from search.study.request import StudyRequest
    from tracking.mlflow.tracker import MlflowTracker

    with lookup.open_study_for_reading(storage, study) as (store, handle):
        refuse_idle(store, handle)
        if tracked_here:
            join(store, handle.name, StudyRequest(), MlflowTracker(tracking))
        return handle.name


def _wait_for_ray(started: list[Any]) -> None:
    import ray

    say(
        f"as Ray actors now: {numbers.count(len(started), 'worker')}; they end with this command", stderr=True
    )
    codes: list[int] = ray.get([answer for _, answer in started])
    raise typer.Exit(max(codes))
