"""Evidence: nothing is trained twice, and what was trained otherwise does not count."""

import dataclasses

import pytest

from omad_core import evidence
from omad_core.config import EnvConfig
from omad_core.envs import make_spec
from omad_core.errors import ConfigError
from omad_core.settings import to_dict


def record(cell, **changes):
    made = evidence.Record(
        task=cell.task,
        algorithm=cell.algorithm,
        seed=cell.seed,
        settings=cell.settings,
        environment=make_spec(cell.task, EnvConfig()).env_id,
        versions={"mujoco": "4"},
        finished="2026-11-22T00:00:00+00:00",
        cpu_seconds=1.0,
        curve=({"step": 1_000, "return": 5.0},),
        final_returns=(4.0, 6.0),
        config=to_dict(cell.config),
    )
    return dataclasses.replace(made, **changes)


def test_every_algorithm_gets_its_first_seed_before_any_gets_a_second():
    cells = evidence.plan(3)
    each = len(evidence.TASKS) * len(evidence.ALGORITHMS)
    assert len(set(cells)) == 3 * each
    assert [cell.seed for cell in cells] == [0] * each + [1] * each + [2] * each


def test_what_has_a_line_is_not_missing_unless_its_settings_have_changed(tmp_path):
    path = tmp_path / "deep" / "records.jsonl"
    cells = evidence.plan(1)
    evidence.append(path, record(cells[0]))
    evidence.append(path, record(cells[1], settings=cells[1].settings | {"env_steps": 10}))
    assert evidence.read(path)[0] == record(cells[0])
    assert evidence.missing(cells, evidence.read(path)) == cells[1:]


def test_a_line_that_is_no_record_is_named(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text('{"task": "hopper"}\n')
    with pytest.raises(ConfigError, match="line 1 is not a record"):
        evidence.read(path)


def test_unknown_algorithms_are_refused():
    with pytest.raises(ConfigError, match="gaussian"):
        evidence.plan(1, algorithms=["gausian"])


def test_a_training_ends_with_its_record(monkeypatch):
    small = {"env_steps": 80, "evaluation.episodes": 1}
    monkeypatch.setitem(evidence.TASKS, "simple_spread_n3", small)
    monkeypatch.setattr(
        evidence, "SHARED", {"random_steps": 20, "batch_size": 8, "evaluation.every_steps": 40}
    )
    *_, last = evidence.perform(evidence.Cell("simple_spread_n3", "gaussian", 4))
    assert [point["step"] for point in last.curve] == [40, 80]
    assert len(last.final_returns) == evidence.FINAL_EPISODES
    assert last.of(evidence.Cell("simple_spread_n3", "gaussian", 4))
