"""Launching workers on what a user has already: Slurm, Ray, Kubernetes. Queue, placement, restarts are theirs."""

import importlib
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.errors import SearchError

LEAVE_SECONDS = 10
"""What a worker and its supervisor may take beyond the grace."""
STOPPED = 143
"""Exit code of a worker that was told to leave, where a scheduler takes 0 for a study that has ended."""
REFUSED = 2
"""Exit code of a worker whose options or addresses are wrong: trying again changes nothing."""
TRIES = 20
"""Failures of one worker on Kubernetes after which it is not started again."""


class LaunchRefused(SearchError):
    """Workers cannot be started this way here; the sentence says what is missing."""


@dataclass(frozen=True)
class Job:
    """Workers of one study, wherever they run; addresses travel in the environment."""

    study: str
    workers: int
    environment: Mapping[str, str] = field(default_factory=dict)
    cpus: int = 1
    gpus: float = 0.0
    """GPUs a worker; 0.5 puts two workers on one, where the scheduler can share it."""
    grace_seconds: int = 30

    @property
    def words(self) -> list[str]:
        """A worker's command line, without the interpreter: supervised, so that a hung one is replaced."""
        device = "0" if self.gpus else "cpu"  # schedulers show a job no other GPUs than its own
        options = ["--workers", "1", "--devices", device, "--threads", str(self.cpus)]
        # -P: a file of the user's own called cli.py in the folder it starts in is not ours.
        return ["-P", "-m", "cli.main", "worker", self.study, *options, "--grace", str(self.grace_seconds)]


def work(job: Job) -> int:
    """One worker, in a process of its own so that signals reach it; its exit code."""
    with subprocess.Popen([sys.executable, *job.words], env={**os.environ, **job.environment}) as process:
        return process.wait()


class SlurmWorker:
    """What submitit runs: a worker, put back into the queue when Slurm preempts it."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __call__(self) -> int:
        """Work; a worker that does not end well fails its job."""
        code = work(self._job)
        if code:
            raise LaunchRefused(f"the worker ended with code {code}; its log is above")
        return code

    def checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        """Called by submitit on preemption: the worker has had its signal and keeps its own checkpoints."""
        return _required("submitit", "slurm").helpers.DelayedSubmission(self)


def slurm(job: Job, folder: Path, cluster: str | None = None, **options: Any) -> list[Any]:
    """An array of workers through submitit; its jobs. `cluster="local"` runs them here."""
    module = _required("submitit", "slurm")
    # Submitted jobs lie there with the addresses of storage and tracking server.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # -P: what submitit starts finds our modules, not a search.py of the user's own in the folder it starts in.
    python = f"{shlex.quote(sys.executable)} -P"
    try:
        executor = module.AutoExecutor(
            folder=folder, cluster=cluster, local_python=python, slurm_python=python
        )
    except RuntimeError as error:
        raise LaunchRefused(f"Slurm is not here ({error}); run this where sbatch is") from None
    executor.update_parameters(
        name=f"omad-{job.study}",
        cpus_per_task=job.cpus,
        gpus_per_node=int(-(-job.gpus // 1)),
        **options,
    )
    with executor.batch():
        submitted = [executor.submit(SlurmWorker(job)) for _ in range(job.workers)]
    return list(submitted)


def ray(job: Job, address: str | None = None) -> list[Any]:
    """Actors, one a worker, restarted by Ray; what they answer when they have ended."""
    module = _required("ray", "ray")
    if not module.is_initialized():
        module.init(address=address, log_to_driver=False, include_dashboard=False)
    options = {"num_cpus": job.cpus, "num_gpus": job.gpus, "max_restarts": -1, "max_task_retries": -1}
    worker = module.remote(_ray_worker())
    actors = [worker.options(**options).remote() for _ in range(job.workers)]
    return [(actor, actor.run.remote(job.words, dict(job.environment))) for actor in actors]


def _ray_worker() -> type:
    """The class of a Ray actor that is one worker.

    Made here, it travels as it is: Ray's processes look for modules in this working folder first, where a file of
    the user's own may be called search.py. So it takes and needs nothing of ours either.
    """

    class RayWorker:
        """One worker, in a process of its own; its exit code."""

        def run(self, words: list[str], environment: dict[str, str]) -> int:
            import os
            import subprocess
            import sys

            with subprocess.Popen([sys.executable, *words], env={**os.environ, **environment}) as process:
                return process.wait()

    return RayWorker


def manifest(job: Job, image: str, secret: str, namespace: str = "default") -> dict[str, Any]:
    """An Indexed Job of workers. The addresses come from a Secret, not from the manifest.

    A worker that was preempted is started again and has not failed; one that is refused is not started again.
    """
    resources: dict[str, Any] = {"requests": {"cpu": str(job.cpus)}}
    if job.gpus:
        resources["limits"] = {"nvidia.com/gpu": str(int(-(-job.gpus // 1)))}
    container = {
        "name": "worker",
        "image": image,
        "command": ["python", *job.words, "--stopped-code", str(STOPPED)],
        "envFrom": [{"secretRef": {"name": secret}}],
        "resources": resources,
    }
    pod = {
        "restartPolicy": "Never",  # with another one Kubernetes takes no podFailurePolicy
        "terminationGracePeriodSeconds": job.grace_seconds + LEAVE_SECONDS,
        "containers": [container],
    }
    labels = {"app.kubernetes.io/name": "omad-search", "omad-search/study": job.study}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": _dns_name(f"omad-{job.study}"), "namespace": namespace, "labels": labels},
        "spec": {
            "completionMode": "Indexed",
            "completions": job.workers,
            "parallelism": job.workers,
            "backoffLimitPerIndex": TRIES,
            "podFailurePolicy": {"rules": _failures(container["name"])},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _failures(container: Any) -> list[dict[str, Any]]:
    """What the end of a worker means, the first that applies."""
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    refused = {"containerName": container, "operator": "In", "values": [REFUSED]}
    return [
        {"action": "Ignore", "onPodConditions": [disrupted]},
        {"action": "FailIndex", "onExitCodes": refused},
    ]


def kubectl(document: str) -> str:
    """Apply a manifest; what kubectl says. Raises LaunchRefused."""
    try:
        done = subprocess.run(
            ["kubectl", "apply", "-f", "-"], input=document, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise LaunchRefused("kubectl is not installed here; --dry-run prints the manifest") from None
    if done.returncode:
        raise LaunchRefused(f"kubectl refused the manifest: {' '.join(done.stderr.split())}")
    return done.stdout.strip()


def _dns_name(text: str) -> str:
    kept = "".join(letter if letter.isalnum() else "-" for letter in text.lower())
    return kept[:63].strip("-")


def _required(name: str, extra: str) -> Any:
    try:
        module = importlib.import_module(name)
        if name == "submitit":
            importlib.import_module("submitit.helpers")
    except ImportError as error:
        raise LaunchRefused(
            f"{name} cannot be imported ({error}); install it with: pip install 'omad-search[{extra}]'"
        ) from None
    return module


def shown(words: Sequence[str]) -> str:
    """A worker's command as it would run."""
    return " ".join(["python", *words])
