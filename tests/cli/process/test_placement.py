"""Devices: as many workers as fit, and a sentence for what is not there."""

import pytest

from cli.process.placement import plan
from omad_core.errors import ConfigError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Four cores and no GPU, unless a test says otherwise."""
    monkeypatch.setattr("cli.process.placement._gpus", lambda: 0)
    monkeypatch.setattr("cli.process.placement.usable", lambda: 4)
    return monkeypatch


@pytest.mark.usefixtures("machine")
def test_a_cpu_gets_a_worker_a_core_with_one_thread_each() -> None:
    assert plan("auto", None, trials=10).devices == ("cpu",) * 4
    assert plan("auto", None, trials=10).threads == 1
    assert plan("cpu", 1, trials=10).threads == 1


@pytest.mark.usefixtures("machine")
def test_there_are_no_more_workers_than_trials_unless_they_are_asked_for() -> None:
    assert len(plan("auto", None, trials=2).devices) == 2
    assert len(plan("auto", 6, trials=2).devices) == 6


def test_gpus_share_the_workers(machine: pytest.MonkeyPatch) -> None:
    machine.setattr("cli.process.placement._gpus", lambda: 2)
    assert plan("auto", None, trials=10).devices == ("cuda:0", "cuda:1")
    assert plan("auto", 3, trials=10).devices == ("cuda:0", "cuda:1", "cuda:0")
    assert plan("1", None, trials=10).devices == ("cuda:1",)
    assert plan("auto", None, trials=10).has_gpu
    assert not plan("cpu", None, trials=10).has_gpu


@pytest.mark.parametrize(
    ("devices", "complaint"),
    [
        ("2", "--devices 2: there is no GPU 2, this machine has 2 GPUs"),
        ("0,7", "there is no GPU 7"),
        ("gpu", "neither auto, cpu nor GPU numbers"),
        ("", "neither auto, cpu nor GPU numbers"),
        ("-1", "neither auto, cpu nor GPU numbers"),
    ],
)
def test_devices_that_are_not_there_are_refused(
    machine: pytest.MonkeyPatch, devices: str, complaint: str
) -> None:
    machine.setattr("cli.process.placement._gpus", lambda: 2)
    with pytest.raises(ConfigError, match=complaint):
        plan(devices, None, trials=10)
