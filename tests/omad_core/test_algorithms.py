"""`algorithm`: it names the objective, decides the kind of policy and has defaults of its own."""

import typing
from dataclasses import replace as changed

import pytest

from omad_core.algorithm.objectives.catalog import OBJECTIVES
from omad_core.algorithm.policies.kinds import POLICIES
from omad_core.algorithms import ALGORITHMS
from omad_core.config import TrainConfig, default_config, structure
from omad_core.errors import ConfigError
from omad_core.settings import from_dict, leaf, replace, to_dict


def test_every_algorithm_is_complete() -> None:
    named = typing.get_args(leaf(TrainConfig, "algorithm")[0])
    assert tuple(ALGORITHMS) == named == tuple(OBJECTIVES)
    assert {algorithm.policy for algorithm in ALGORITHMS.values()} == set(POLICIES)
    assert set(typing.get_args(leaf(TrainConfig, "actor.kind")[0])) == set(POLICIES)
    assert "algorithm" in structure(TrainConfig())


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_decides_the_kind_of_policy_and_survives_its_storage(name: str) -> None:
    config = default_config("swimmer_2x1", name)
    assert (config.task, config.algorithm) == ("swimmer_2x1", name)
    assert config.actor.kind == ALGORITHMS[name].policy == to_dict(config)["actor.kind"]
    assert from_dict(TrainConfig, to_dict(config)) == config
    assert replace(config, {"algorithm": "omad"}).actor.kind == "diffusion"
    assert replace(TrainConfig(), {"algorithm": name}).actor.kind == config.actor.kind


def test_what_older_releases_stored_keeps_its_meaning() -> None:
    stored = {path: value for path, value in to_dict(TrainConfig()).items() if path != "algorithm"}
    assert from_dict(TrainConfig, stored) == TrainConfig()
    gaussian = from_dict(TrainConfig, {**stored, "actor.kind": "gaussian"})
    assert (
        gaussian == default_config("hopper", "gaussian") == replace(TrainConfig(), {"actor.kind": "gaussian"})
    )


def test_a_contradiction_is_one_sentence() -> None:
    for values in (
        {"algorithm": "omad", "actor.kind": "gaussian"},
        {"algorithm": "gaussian", "actor.kind": "diffusion"},
    ):
        with pytest.raises(
            ConfigError, match=r"^actor.kind = \w+ contradicts algorithm = \w+, .*: leave actor.kind out$"
        ):
            replace(TrainConfig(), values)
    with pytest.raises(ConfigError, match="algorithm = 'omat' is not one of omad, gaussian"):
        replace(TrainConfig(), {"algorithm": "omat"})


def test_what_only_another_algorithm_reads_is_refused_where_it_differs() -> None:
    assert replace(TrainConfig(), {"madpmd.candidates": 32}) == TrainConfig()
    with pytest.raises(ConfigError, match=r"^hasac.target_entropy = -0.5 is read by algorithm = hasac alone"):
        replace(TrainConfig(), {"hasac.target_entropy": -0.5})
    assert (
        replace(default_config("hopper", "hasac"), {"hasac.target_entropy": -0.5}).hasac.target_entropy
        == -0.5
    )


def test_defaults_of_an_algorithm_are_what_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = changed(ALGORITHMS["gaussian"], defaults={"batch_size": 100, "actor.grad_clip": 5.0})
    monkeypatch.setitem(ALGORITHMS, "gaussian", entry)
    config = default_config("hopper", "gaussian")
    assert (config.batch_size, config.actor.grad_clip) == (100, 5.0)
    assert default_config("hopper") == TrainConfig()
