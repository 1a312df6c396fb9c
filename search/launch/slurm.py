"""Workers on Slurm, through submitit."""

import importlib
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from search.launch.job import LEAVE_SECONDS, Job, LaunchRefused, import_required

DOOR = "omad_search"
"""The module that a job names for its worker: nobody else's has this name, and it claims those of the others."""
NOTICES = (signal.SIGUSR1, signal.SIGUSR2)
"""One of them, as submitit is set up, comes before the time limit."""
LOOK_SECONDS = 0.2
"""Between two looks at whether the worker has ended."""
LEAST_NOTICE = 90
"""Seconds from Slurm's signal to the end of a job at its time limit: submitit's default, and the least used here."""


class SlurmWorker:
    """What submitit runs: a worker, put back into the queue when Slurm preempts it.

    Slurm's signals reach this process alone, or all that it started too (`ProctrackType=proctrack/linuxproc`): SIGTERM
    is passed on, and the notice that submitit asks for would end a worker, which is therefore deaf to it.
    """

    __module__ = DOOR

    def __init__(self, job: Job) -> None:
        self._job = job
        self._process: subprocess.Popen[bytes] | None = None
        self._asked_to_leave = False

    def __call__(self) -> int:
        """Run the worker to its end and return its exit code, 0. Raises LaunchRefused for another: the job fails."""
        signal.signal(signal.SIGTERM, self._hear)
        with _start(self._job) as self._process:
            while (code := self._process.poll()) is None:
                time.sleep(LOOK_SECONDS)
        while self._asked_to_leave:
            time.sleep(
                LOOK_SECONDS
            )  # Slurm is about to end this job; one that ends before is not queued again
        if code:
            raise LaunchRefused(f"the worker ended with code {code}; its log is above")
        return code

    def _hear(self, number: int, frame: Any) -> None:
        """Handle SIGTERM, which Slurm sends before it ends the job: pass it on to the worker."""
        self._asked_to_leave = True
        if self._process is not None:
            self._process.terminate()

    def checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        """Stop the worker and return its successor, which submitit queues; submitit calls this on preemption.

        The worker writes its own checkpoints, and is killed where that takes longer than its grace.
        """
        if self._process is not None:
            if not self._asked_to_leave:
                self._process.terminate()
            _await_exit(self._process.pid, self._job.grace_seconds + LEAVE_SECONDS)
        return import_required("submitit", "slurm").helpers.DelayedSubmission(SlurmWorker(self._job))


def _start(job: Job) -> "subprocess.Popen[bytes]":
    """Start a worker in a process of its own, which handles its own signals."""
    return subprocess.Popen(
        [sys.executable, *job.argv], env={**os.environ, **job.environment}, preexec_fn=_ignore_notices
    )


def _ignore_notices() -> None:
    """Ignore Slurm's notices in the program that follows, and in all that it starts."""
    for number in NOTICES:
        signal.signal(number, signal.SIG_IGN)


def _await_exit(pid: int, seconds: float) -> None:
    """Wait until a child has ended, and kill it after `seconds`; its exit code stays for a later wait."""
    end = time.monotonic() + seconds
    try:
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
            time.sleep(LOOK_SECONDS)
    except ChildProcessError:
        return  # it has ended, and is known to have


def launch_slurm(job: Job, folder: Path, cluster: str | None = None, **options: Any) -> list[Any]:
    """Submit a job array of workers through submitit and return its jobs.

    `folder` gets submitit's files and the logs, readable by its owner alone. `cluster`: None for Slurm, "local" runs
    the workers here. `options`: parameters of submitit's executor, such as `timeout_min`. Raises LaunchRefused.
    """
    module = import_required("submitit", "slurm")
    # Submitted jobs lie there with the addresses of storage and tracking server.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # -P: no module of the user's own in the folder it starts in stands in for one of Python's.
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
    importlib.import_module(DOOR)  # what is submitted names it
    with executor.batch():
        submitted = [executor.submit(SlurmWorker(job)) for _ in range(job.workers)]
    return list(submitted)
