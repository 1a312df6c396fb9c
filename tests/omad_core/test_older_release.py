"""Checkpoints and policies of an earlier release load, act and train on as they did there.

`data/release-91cd495`: two trainings of Physical Deception with tiny networks, checkpoints at 44 of 60 steps, and what
that release made of them: actions of the policy, the last evaluation, and numbers at the end.
`data/release-97caa2d`: the same of `toy_worlds:saving_relay`, whose agents have actions of unequal widths.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from omad_core.checkpoint import checkpoint
from omad_core.events import Evaluated, Progress
from omad_core.policy import Policy
from omad_core.population import Population

DATA = Path(__file__).parents[1] / "data"
STORED = ["release-91cd495/diffusion", "release-91cd495/gaussian", "release-97caa2d/unequal"]


@pytest.mark.parametrize("name", STORED)
def test_a_policy_of_an_earlier_release_acts_as_it_did(name):
    policy = Policy.load(DATA / name / "policy")
    expected = json.loads((DATA / name / "expected.json").read_text())["actions"]
    widths = zip(policy.spec.agents, policy.spec.obs_dims, strict=True)
    actions = policy.act({agent: np.linspace(-1, 1, width) for agent, width in widths}, seed=5)
    assert policy.notes == {"release": name[8:15]}
    assert actions.keys() == expected.keys()
    for agent, action in actions.items():
        np.testing.assert_allclose(action, expected[agent], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", STORED)
def test_a_checkpoint_of_an_earlier_release_trains_on_as_it_did(name, run_to_end, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent / "envs")
    expected = json.loads((DATA / name / "expected.json").read_text())
    (state,), _ = checkpoint.read(DATA / name, expected["manifest"], expected["digest"])
    population = Population(state.config, slice_seconds=0)
    member = population.admit(state.config, state)
    events = run_to_end(population, {member})
    arrays = population.snapshot(member).arrays
    population.close()
    close = {"rtol": 1e-3, "atol": 1e-4}
    np.testing.assert_allclose(arrays["critic/last.bias"], expected["critic/last.bias"], **close)
    np.testing.assert_allclose(arrays["temperature/log_alpha"], expected["log_alpha"], **close)
    evaluations = [e.returns for e in events if isinstance(e, Evaluated)]
    np.testing.assert_allclose(evaluations[-1], expected["returns"], **close)
    row = [e.metrics for e in events if isinstance(e, Progress) and e.metrics][-1]
    for metric, value in expected["metrics"].items():
        assert row[metric] == pytest.approx(value, rel=1e-3, abs=1e-4), metric
