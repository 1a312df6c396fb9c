"""Workers on Ray: one actor each."""

from typing import Any

from search.launch.job import Job, import_required


def launch_ray(job: Job, address: str | None = None) -> list[Any]:
    """Start an actor a worker, which Ray restarts; returns references to their exit codes. Raises LaunchRefused."""
    module = import_required("ray", "ray")
    if not module.is_initialized():
        module.init(address=address, log_to_driver=False, include_dashboard=False)
    options = {"num_cpus": job.cpus, "num_gpus": job.gpus, "max_restarts": -1, "max_task_retries": -1}
    worker = module.remote(_ray_worker())
    actors = [worker.options(**options).remote() for _ in range(job.workers)]
    return [(actor, actor.run.remote(job.argv, dict(job.environment))) for actor in actors]


def _ray_worker() -> type:
    """The class of a Ray actor that is one worker.

    Made here, it travels as it is: Ray's processes look for modules in this working folder first, where a file of
    the user's own may be called search.py. So it takes and needs nothing of ours either.
    """

    class RayWorker:
        """Run one worker in a process of its own and return its exit code."""

        def run(self, argv: list[str], environment: dict[str, str]) -> int:
            import os
            import subprocess
            import sys

            with subprocess.Popen([sys.executable, *argv], env={**os.environ, **environment}) as process:
                return process.wait()

    return RayWorker
