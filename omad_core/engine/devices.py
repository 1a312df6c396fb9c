"""Devices by the names that users give: there, or a sentence that says what is."""

import torch

from omad_core.errors import ConfigError


def device_of(name: str) -> torch.device:
    """The device of a name such as `cpu` or `cuda:1`. Raises ConfigError where there is none."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r} is not the name of one; use cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device {name!r} is not supported; use cpu, cuda or cuda:N")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise ConfigError(f"device {name!r} is not there: torch sees {gpus} CUDA devices; use cpu")
    return device


def env_threads(device: torch.device) -> int:
    """Threads that step environments: beside a GPU all that torch was given, on a CPU those are for the updates."""
    return torch.get_num_threads() if device.type == "cuda" else 1
