"""Devices: where workers train, and how many fit."""

from dataclasses import dataclass

from omad_core.errors import ConfigError
from tracking.machine.cores import usable

MOST_CPU_WORKERS = 8
"""More are a wish that has to be given with --workers."""


@dataclass(frozen=True)
class Plan:
    """One entry a worker process."""

    devices: tuple[str, ...]
    threads: int
    """torch threads of each."""

    @property
    def has_gpu(self) -> bool:
        """Whether any worker trains on a GPU."""
        return any(device != "cpu" for device in self.devices)


def plan(devices: str, workers: int | None, trials: int, threads: int | None = None) -> Plan:
    """Workers for `--devices auto|cpu|0,1`. Raises ConfigError for a device that is not there."""
    chosen = _read_devices(devices)
    cores = usable()
    if chosen == ["cpu"]:
        count = workers or max(1, min(cores, MOST_CPU_WORKERS, trials))
        # Networks this small gain nothing from a second thread, and lose all where the cores are shared.
        return Plan(("cpu",) * count, threads or 1)
    count = workers or min(len(chosen), trials)
    return Plan(tuple(chosen[n % len(chosen)] for n in range(count)), threads or max(1, cores // count))


def plan_for(devices: str, workers: int | None, left: int) -> Plan:
    """As `plan`, with no more workers than trials are left, however many are asked for; one sends what is left."""
    useful = max(1, left)
    return plan(devices, min(workers, useful) if workers else None, useful)


def _read_devices(devices: str) -> list[str]:
    if devices == "cpu":
        return ["cpu"]
    gpus = _gpus()
    if devices == "auto":
        return [f"cuda:{n}" for n in range(gpus)] or ["cpu"]
    numbers = [part.strip() for part in devices.split(",")]
    if not all(number.isdigit() for number in numbers):
        raise ConfigError(f"--devices {devices!r} is neither auto, cpu nor GPU numbers such as 0,1")
    for number in numbers:
        if int(number) >= gpus:
            has = f"{gpus} GPU{'s' if gpus != 1 else ''}" if gpus else "no GPU that torch can use"
            raise ConfigError(
                f"--devices {devices}: there is no GPU {number}, this machine has {has}; try --devices auto"
            )
    return [f"cuda:{int(number)}" for number in numbers]


def _gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
