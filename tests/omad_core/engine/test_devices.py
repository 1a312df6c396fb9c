"""Devices that are not there are refused with a sentence."""

import pytest
import torch

from omad_core.engine.devices import device_of, env_threads
from omad_core.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("gpu", "use cpu, cuda or cuda:N"), ("mps", "not supported"), ("cuda:4", "torch sees 2 CUDA devices")],
)
def test_a_device_that_is_not_there_is_refused(name, sentence, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=sentence):
        device_of(name)
    assert device_of("cuda:1") == torch.device("cuda", 1)
    assert device_of("cpu") == torch.device("cpu")


def test_environments_take_the_threads_that_the_updates_leave(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    assert env_threads(torch.device("cuda:1")) == 6
    assert env_threads(torch.device("cpu")) == 1
