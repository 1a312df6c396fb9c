"""Launching workers on what a user has already: Slurm, Ray, Kubernetes. Queue, placement, restarts are theirs."""

import importlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.errors import SearchError

LEAVE_SECONDS = 10
"""What a worker and its supervisor may take beyond the grace."""
LOOK_SECONDS = 0.2
LEAST_NOTICE = 90
"""Seconds between Slurm's signal and its end of a job at the time limit, as submitit has it."""


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


class SlurmWorker:
    """What submitit runs: a worker, put back into the queue when Slurm preempts it.

    Slurm's signals reach this process alone, not the worker that it started: they are passed on.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._process: subprocess.Popen[bytes] | None = None
        self._told = False

    def __call__(self) -> int:
        """Work; a worker that does not end well fails its job."""
        signal.signal(signal.SIGTERM, self._hear)
        with _started(self._job) as self._process:
            while (code := self._process.poll()) is None:
                time.sleep(LOOK_SECONDS)
        while self._told:
            time.sleep(
                LOOK_SECONDS
            )  # Slurm is about to end this job; one that ends before is not queued again
        if code:
            raise LaunchRefused(f"the worker ended with code {code}; its log is above")
        return code

    def _hear(self, number: int, frame: Any) -> None:
        """Slurm's SIGTERM, which comes before the end: have the worker leave."""
        self._told = True
        if self._process is not None:
            self._process.terminate()

    def checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        """Called by submitit on preemption: the worker writes its own checkpoints and leaves, then begins again."""
        if self._process is not None:
            if not self._told:
                self._process.terminate()
            _await_exit(self._process.pid, self._job.grace_seconds + LEAVE_SECONDS)
        return _required("submitit", "slurm").helpers.DelayedSubmission(SlurmWorker(self._job))


def _started(job: Job) -> "subprocess.Popen[bytes]":
    """One worker, in a process of its own so that it has its signals to itself."""
    return subprocess.Popen([sys.executable, *job.words], env={**os.environ, **job.environment})


def _await_exit(pid: int, seconds: float) -> None:
    """Wait for the end of a child, or have it end; leaves its exit code to whoever waits for that."""
    end = time.monotonic() + seconds
    try:
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
            time.sleep(LOOK_SECONDS)
    except ChildProcessError:
        return  # it has ended, and is known to have


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
        slurm_signal_delay_s=max(LEAST_NOTICE, job.grace_seconds + 2 * LEAVE_SECONDS),
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
