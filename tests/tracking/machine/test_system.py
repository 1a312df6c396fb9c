"""The machine's metrics are sampled wherever they can be."""

import threading
import time
from pathlib import Path

import pytest

from tracking.machine.system import SystemMeter, SystemWatch


def test_processor_and_memory_are_measured() -> None:
    sample = SystemMeter().sample()
    assert 0 <= sample["system/cpu_percent"] <= 100
    assert 0 < sample["system/memory_percent"] <= 100
    assert sample["system/process_memory_mb"] > 1


def driver(folder: Path, script: str) -> None:
    file = folder / "nvidia-smi"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def test_gpus_are_measured_where_a_driver_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(tmp_path, "echo '37, 2048'\necho '[N/A], 10'")
    monkeypatch.setenv("PATH", str(tmp_path))
    sample = SystemMeter().sample()
    assert (sample["system/gpu_0_percent"], sample["system/gpu_0_memory_mb"]) == (37.0, 2048.0)
    assert sample["system/gpu_1_percent"] != sample["system/gpu_1_percent"]
    assert sample["system/gpu_1_memory_mb"] == 10.0


def test_a_driver_that_fails_costs_nothing_but_its_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(tmp_path, "exit 9")
    monkeypatch.setenv("PATH", str(tmp_path))
    meter = SystemMeter()
    assert not [name for name in meter.sample() if "gpu" in name]
    driver(tmp_path, "echo '1, 1'")
    assert not [name for name in meter.sample() if "gpu" in name]


def first_of(watch: SystemWatch) -> dict[str, float]:
    end = time.monotonic() + 10
    while not (sample := watch.take()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return sample


def test_a_short_trial_has_a_sample_too() -> None:
    watch = SystemWatch(every_seconds=3600)
    assert first_of(watch)["system/memory_percent"] > 0
    assert watch.take() == {}
    watch.close()


def test_a_watch_hands_each_sample_out_once_and_ends() -> None:
    watch = SystemWatch(every_seconds=0.05)
    assert first_of(watch)["system/process_memory_mb"] > 1
    watch.close()
    watch.take()
    assert watch.take() == {}
    assert "system-watch" not in {thread.name for thread in threading.enumerate()}
