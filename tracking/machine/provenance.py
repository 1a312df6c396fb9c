"""Provenance: what a result depends on beside its configuration."""

import importlib.metadata
import platform
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracking.machine import cores
from tracking.redaction import redact

PACKAGES = (
    "omad-search",
    "torch",
    "numpy",
    "optuna",
    "mlflow",
    "sqlalchemy",
    "mujoco",
    "gymnasium",
    "gymnasium-robotics",
    "pettingzoo",
    "mpe2",
    "safetensors",
)
COMMAND_SECONDS = 5


def provenance(folder: Path | None = None) -> dict[str, Any]:
    """Code, versions and machine, ready for JSON; `folder` is the user's working folder."""
    return {
        "git": _git(folder or Path.cwd()),
        "packages": _packages(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpu": {"name": _cpu_name(), "cores": cores.usable()},
        "gpus": _gpu_names(),
    }


def source_tags(facts: Mapping[str, Any]) -> dict[str, str]:
    """The tags by which MLflow's pages show where a run comes from."""
    tags = {"mlflow.source.name": "omad-search", "mlflow.source.type": "LOCAL"}
    git = facts.get("git")
    if git:
        tags["mlflow.source.git.commit"] = git["commit"]
    return tags


def _git(folder: Path) -> dict[str, Any] | None:
    """Commit and cleanliness of the repository that a folder lies in, if there is one."""
    commit = _output(["git", "-C", str(folder), "rev-parse", "--verify", "HEAD"])
    if commit is None:
        return None
    branch = _output(["git", "-C", str(folder), "rev-parse", "--abbrev-ref", "HEAD"])
    changes = _output(["git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no"])
    remote = _output(["git", "-C", str(folder), "config", "--get", "remote.origin.url"])
    return {
        "commit": commit,
        "branch": branch,
        "dirty": None if changes is None else bool(changes),
        "remote": None if remote is None else redact(remote),
    }


def _packages() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _cpu_name() -> str:
    """The processor's name, from Linux's `/proc/cpuinfo`, elsewhere from the platform."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpu_names() -> list[str]:
    names = _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    return [] if names is None else [line.strip() for line in names.splitlines() if line.strip()]


def _output(command: list[str]) -> str | None:
    """What a command prints, or None where it is missing, fails or takes too long."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
