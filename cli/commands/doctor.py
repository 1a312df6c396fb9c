"""omad-search doctor: what this machine has, what can be reached, and what a worker here would do."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from cli.errors import FAILURE
from cli.options import DEFAULT_STORAGE, Devices, Json, Storage, Tracking, Workers
from cli.setup import lookup
from cli.show import json_output, numbers
from cli.show.console import out

MARKS = {True: ("ok", "green"), False: ("FAILS", "red")}
PROBE_STEPS = 500
ENOUGH_BYTES = 2 * 10**9


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    good: bool
    says: str
    details: dict[str, Any] = field(default_factory=dict)


def doctor(
    storage: Storage = DEFAULT_STORAGE,
    tracking: Tracking = None,
    workers: Workers = None,
    devices: Devices = "auto",
    json: Json = False,
) -> None:
    """Check versions, devices, simulator, storage and tracking; say what `run` would do here."""
    looks: dict[str, Callable[[], Finding]] = {
        "versions": _versions,
        "machine": _machine,
        "devices": lambda: _devices(devices),
        "simulator": _simulator,
        "disk": _disk,
        "storage": lambda: _storage(storage),
        "tracking": lambda: _tracking(tracking),
        "run": lambda: _plan(devices, workers),
    }
    findings = []
    for what, look in looks.items():
        findings.append(_look(what, look))
        if not json:
            _print(findings[-1])
    if json:
        json_output.show(findings)
    if not all(finding.good for finding in findings):
        raise typer.Exit(FAILURE)


def _look(what: str, look: Callable[[], Finding]) -> Finding:
    """What a look finds; where it raises one of our errors, that is the finding."""
    from omad_core.errors import OmadError
    from search.errors import SearchError
    from tracking.errors import TrackingError
    from tracking.redaction import redact

    try:
        return look()
    except (OmadError, SearchError, TrackingError, ImportError, OSError) as error:
        return Finding(what, False, redact(f"{error}"))


def _print(finding: Finding) -> None:
    mark, style = MARKS[finding.good]
    line = Text.assemble((f"{mark:<6}", style), f"{finding.what:<11}{finding.says}")
    out().print(line, soft_wrap=True)


def _versions() -> Finding:
    from tracking.machine.provenance import provenance

    facts = provenance()
    packages = facts["packages"]
    names = ("omad-search", "torch", "optuna", "mlflow", "mujoco", "gymnasium-robotics")
    missing = [name for name in names if name not in packages]
    listed = ", ".join(f"{name} {packages[name]}" for name in names if name in packages)
    says = f"python {facts['python']}, {listed}" + (f"; missing: {', '.join(missing)}" if missing else "")
    return Finding("versions", not missing, says, {"python": facts["python"], **packages})


def _machine() -> Finding:
    import psutil

    from tracking.machine.provenance import provenance

    facts, memory = provenance(), psutil.virtual_memory()
    says = (
        f"{facts['cpu']['name']}, {facts['cpu']['cores']} cores, "
        f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB memory free"
    )
    return Finding("machine", True, says, {"cores": facts["cpu"]["cores"], "memory": memory.total})


def _devices(devices: str) -> Finding:
    import torch

    from cli.process.placement import plan
    from tracking.machine.provenance import provenance

    plan(devices, None, 1)
    gpus = provenance()["gpus"]
    usable = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if usable:
        names = ", ".join(f"{n}: {torch.cuda.get_device_name(n)}" for n in range(usable))
        return Finding("devices", True, f"GPUs {names}", {"gpus": usable})
    if gpus:
        says = f"{', '.join(gpus)} is there, but this torch ({torch.__version__}) cannot use it; install one for CUDA"
        return Finding("devices", False, says, {"gpus": 0})
    return Finding("devices", True, "no GPU; the CPU is used", {"gpus": 0})


def _simulator() -> Finding:
    import numpy as np

    from omad_core.config import EnvConfig
    from omad_core.envs import make_env

    env = make_env("hopper", EnvConfig(), 1)
    env.reset([0], [0])
    actions = np.zeros((1, env.spec.num_agents, env.spec.action_width))
    began = time.perf_counter()
    for number in range(PROBE_STEPS):
        step = env.step(actions)
        if step.terminated[0] or step.truncated[0]:
            env.reset([0], [number])
    rate = PROBE_STEPS / (time.perf_counter() - began)
    env.close()
    return Finding("simulator", True, f"{env.spec.env_id} steps {rate:,.0f} times a second", {"rate": rate})


def _disk() -> Finding:
    from search.checkpoints.workdir import open_workdir

    root = open_workdir().root.resolve()
    free = shutil.disk_usage(_nearest(root)).free
    says = f"{free / 10**9:,.1f} GB free for checkpoints in {root}"
    writable = os.access(_nearest(root), os.W_OK)
    says += "" if writable else "; it cannot be written to (set OMAD_HOME to another folder)"
    return Finding("disk", free >= ENOUGH_BYTES and writable, says, {"free": free})


def _nearest(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _storage(storage: str) -> Finding:
    from search.slots.studies import list_studies
    from search.storage import urls
    from search.storage.store import open_storage

    url = urls.parse(storage)
    shown = urls.redact_url(url)
    if urls.backend(url) is urls.SQLITE and url.database and not Path(url.database).exists():
        return _to_be_created("storage", shown, Path(url.database))
    with open_storage(storage) as store:
        count = len(list_studies(store))
    return Finding("storage", True, f"{shown} holds {count} {'study' if count == 1 else 'studies'}")


def _tracking(tracking: str | None) -> Finding:
    from tracking.mlflow import address as mlflow_address
    from tracking.mlflow.tracker import MlflowTracker

    address = mlflow_address.resolve(tracking)
    path = mlflow_address.sqlite_path(address)
    if path is not None and not path.exists():
        return _to_be_created("tracking", lookup.redact_tracking(address), path)
    MlflowTracker(tracking).check()
    return Finding("tracking", True, f"{lookup.redact_tracking(address)} answers")


def _to_be_created(what: str, shown: str, path: Path) -> Finding:
    """An SQLite file that does not exist yet: looking must not create it."""
    folder = path.resolve().parent
    if not folder.is_dir():
        return Finding(what, False, f"{shown}: there is no folder {folder}; create it first")
    writable = os.access(folder, os.W_OK)
    return Finding(
        what, writable, f"{shown} will be created" if writable else f"{folder} cannot be written to"
    )


def _plan(devices: str, workers: int | None) -> Finding:
    from cli.process.placement import plan
    from search.study import catalog
    from search.study.request import StudyRequest

    budget = catalog.build(catalog.find("hopper"), StudyRequest(), has_gpu=plan(devices, workers, 1).has_gpu)
    chosen = plan(devices, workers, budget.trials)
    count = len(chosen.devices)
    where = ", ".join(dict.fromkeys(chosen.devices))
    says = (
        f"`omad-search run --task hopper` takes profile {budget.profile}: {numbers.count(budget.trials, 'trial')} of "
        f"{budget.config.env_steps:,} steps, {numbers.count(count, 'worker')} on {where}, "
        f"{chosen.threads} thread{'s' if chosen.threads != 1 else ''} each"
    )
    return Finding("run", True, says, {"profile": budget.profile, "workers": chosen.devices})
