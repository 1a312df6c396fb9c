"""Workers on Kubernetes: the manifest of their job, and kubectl that applies it."""

import hashlib
import re
import subprocess
from typing import Any

from search.launch.job import LEAVE_SECONDS, Job, LaunchRefused

STOPPED = 143
"""Exit code of a worker that a signal stopped: Kubernetes takes 0 for a study that has ended."""
REFUSED = 2
"""Exit code of a worker whose options or addresses are wrong: trying again changes nothing."""
TRIES = 20
"""Failures of one worker on Kubernetes after which it is not started again."""
LONGEST_NAME = 63
"""Most characters of a host name, and of a label's value."""


def manifest(job: Job, image: str, secret: str, namespace: str = "default") -> dict[str, Any]:
    """The manifest of an Indexed Job with one worker an index, as plain data for JSON or YAML.

    `secret` names the Secret whose entries become environment variables: the addresses of storage and tracking server
    are not in the manifest. Preemption does not count as a failure; a refused worker (exit code 2) is not restarted.
    """
    resources: dict[str, Any] = {"requests": {"cpu": str(job.cpus)}}
    if job.gpus:
        resources["limits"] = {"nvidia.com/gpu": str(int(-(-job.gpus // 1)))}
    container = {
        "name": "worker",
        "image": image,
        "command": ["python", *job.argv, "--stopped-code", str(STOPPED)],
        "envFrom": [{"secretRef": {"name": secret}}],
        "resources": resources,
    }
    pod = {
        "restartPolicy": "Never",  # with another one Kubernetes takes no podFailurePolicy
        "terminationGracePeriodSeconds": job.grace_seconds + LEAVE_SECONDS,
        "containers": [container],
    }
    labels = {"app.kubernetes.io/name": "omad-search", "omad-search/study": _label(job.study)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": _job_name(job), "namespace": namespace, "labels": labels},
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
    """Rules of `podFailurePolicy`, of which the first that applies decides what the end of a worker means."""
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    refused = {"containerName": container, "operator": "In", "values": [REFUSED]}
    return [
        {"action": "Ignore", "onPodConditions": [disrupted]},
        {"action": "FailIndex", "onExitCodes": refused},
    ]


def kubectl(document: str) -> str:
    """Apply a manifest (JSON or YAML) and return what kubectl printed. Raises LaunchRefused."""
    try:
        done = subprocess.run(
            ["kubectl", "apply", "-f", "-"], input=document, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise LaunchRefused("kubectl is not installed here; --dry-run prints the manifest") from None
    if done.returncode:
        raise LaunchRefused(f"kubectl refused the manifest: {' '.join(done.stderr.split())}")
    return done.stdout.strip()


def _job_name(job: Job) -> str:
    """The job's name, short enough for the host names of its pods, which append their number."""
    name = re.sub("[^a-z0-9]", "-", f"omad-{job.study}".lower())
    return _shorten(name, LONGEST_NAME - len(f"-{job.workers - 1}"))


def _label(study: str) -> str:
    return _shorten(study, LONGEST_NAME)


def _shorten(name: str, most: int) -> str:
    """The name, ending with a letter or digit; what is cut off of a long one becomes its digest."""
    if len(name) > most:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{name[: most - 9]}-{digest}"
    return name.rstrip("-_")
