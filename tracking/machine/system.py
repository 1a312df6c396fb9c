"""What the machine does while it trains: the `system/...` metrics."""

import shutil
import subprocess
import threading

import psutil

_GPU_QUERY = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
_GPU_SECONDS = 3
_MEGABYTE = 1_000_000
SAMPLE_SECONDS = 10.0
"""Between two samples: enough to see what a trial waits for, and a few hundred points in an hour."""
FIRST_SECONDS = 1.0
"""Before the first one, so that a short trial has its sample too."""


class SystemMeter:
    """Samples the processor, the memory and, where there are any, the GPUs of this machine."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first answer is always 0: percentages are since the last call
        psutil.cpu_percent()
        self._has_gpus = shutil.which(_GPU_QUERY[0]) is not None

    def sample(self) -> dict[str, float]:
        """The metrics now; percentages are means since the sample before."""
        memory = psutil.virtual_memory()
        metrics = {
            "system/cpu_percent": float(psutil.cpu_percent()),
            "system/process_cpu_percent": float(self._process.cpu_percent()),
            "system/memory_percent": float(memory.percent),
            "system/process_memory_mb": self._process.memory_info().rss / _MEGABYTE,
        }
        return metrics | (self._gpus() if self._has_gpus else {})

    def _gpus(self) -> dict[str, float]:
        """Use and memory of each GPU; a driver that does not answer is not asked again."""
        try:
            done = subprocess.run(
                _GPU_QUERY, capture_output=True, text=True, timeout=_GPU_SECONDS, check=True
            )
        except (OSError, subprocess.SubprocessError):
            self._has_gpus = False
            return {}
        metrics = {}
        for number, line in enumerate(done.stdout.splitlines()):
            used, _, memory = line.partition(",")
            metrics[f"system/gpu_{number}_percent"] = _number(used)
            metrics[f"system/gpu_{number}_memory_mb"] = _number(memory)
        return metrics


class SystemWatch:
    """Samples on a thread of its own, so that training waits for no driver; each sample is returned once."""

    def __init__(self, every_seconds: float = SAMPLE_SECONDS) -> None:
        self._every = every_seconds
        self._newest: dict[str, float] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="system-watch", daemon=True)
        self._thread.start()

    def take(self) -> dict[str, float]:
        """The newest sample, empty if it was taken before."""
        with self._lock:
            newest, self._newest = self._newest, {}
        return newest

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join(timeout=_GPU_SECONDS + 1)

    def _work(self) -> None:
        meter, pause = SystemMeter(), min(FIRST_SECONDS, self._every)
        while not self._closing.wait(pause):
            sample, pause = meter.sample(), self._every
            with self._lock:
                self._newest = sample


def _number(text: str) -> float:
    """A number that the driver printed; NaN for the `[N/A]` of a card that has none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
