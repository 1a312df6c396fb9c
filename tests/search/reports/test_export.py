"""Exported policies act as the policy does, whoever loads them."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from omad_core.policy import Policy
from search.errors import ExportRefused
from search.reports.export import export


@pytest.mark.parametrize("task", ["hopper", "simple_adversary_n2"])
def test_an_exported_policy_acts_as_the_policy_itself(
    policy_folder: Callable[[str], Path], tmp_path: Path, task: str
) -> None:
    policy = Policy.load(policy_folder(task))
    files = export(policy, tmp_path / "new" / "home")
    assert [file.name for file in files] == [
        "about.json",
        "policy.json",
        "policy.safetensors",
        "policy.torchscript",
    ]
    obs = np.random.default_rng(0).normal(size=(7, sum(policy.spec.obs_dims))).astype(np.float32)
    expected = policy.act_joint(obs, deterministic=True)
    np.testing.assert_array_equal(
        Policy.load(tmp_path / "new" / "home").act_joint(obs, deterministic=True), expected
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that it has a successor
        script = torch.jit.load(str(files[-1]))
    np.testing.assert_allclose(script(torch.from_numpy(obs)).numpy(), expected, atol=1e-5)
    about = json.loads(files[0].read_text())
    assert [agent["name"] for agent in about["agents"]] == list(policy.spec.agents)


def test_a_folder_that_holds_something_is_left_alone(
    policy_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ExportRefused, match="not empty; name another folder"):
        export(Policy.load(policy_folder("hopper")), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]
