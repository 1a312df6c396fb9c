"""To a device and back; the host waits for a CUDA device only where it needs a result."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def send(values: NDArray[Any], device: torch.device) -> Tensor:
    """Values on a device. The host does not wait: torch keeps the pinned memory until the copy is made."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def fetch(tensor: Tensor) -> Callable[[], NDArray[np.float32]]:
    """Begin to copy a tensor to the host; the returned function waits for it and returns an array of its own."""
    if tensor.device.type != "cuda":
        copied: NDArray[np.float32] = tensor.clone(memory_format=torch.contiguous_format).numpy()
        return lambda: copied
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    arrived = mark(tensor.device)

    def wait() -> NDArray[np.float32]:
        arrived()
        array: NDArray[np.float32] = host.numpy().copy()
        return array

    return wait


def mark(device: torch.device) -> Callable[[], None]:
    """The returned function waits until all work queued on the device so far is done."""
    if device.type != "cuda":
        return lambda: None
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event.synchronize
