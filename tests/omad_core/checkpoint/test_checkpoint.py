"""Checkpoints: whole or refused, and paid for by what is new."""

import dataclasses
import json
import pickle

import numpy as np
import pytest
import torch

from omad_core.checkpoint import checkpoint
from omad_core.checkpoint.files import digest
from omad_core.errors import CheckpointError
from omad_core.events import Progress
from omad_core.policy import Policy
from omad_core.population import Population
from omad_core.stored_settings import resolved


def advance(population, steps):
    reached = 0
    while reached < steps:
        reached = max([reached, *(e.env_steps for e in population.advance() if isinstance(e, Progress))])


@pytest.fixture
def two(small, tmp_path):
    """A checkpoint, and a later one that builds on it."""
    population = Population(small(env_steps=200), slice_seconds=0)
    member = population.admit(small(env_steps=200))
    advance(population, 40)
    first = checkpoint.write(tmp_path, [population.snapshot(member)], {"curve.jsonl": b"a"})
    advance(population, 60)
    state = population.snapshot(member, first.stored[0])
    second = checkpoint.write(tmp_path, [state], {"curve.jsonl": b"ab"}, first)
    yield population, member, first, second
    population.close()


def test_what_is_read_is_what_was_written(two, tmp_path):
    population, member, _, second = two
    (state,), extra = checkpoint.read(tmp_path, second.name, second.digest)
    whole = population.snapshot(member)
    assert extra == {"curve.jsonl": b"ab"}
    assert state.config == resolved(whole.config)
    assert state.records == whole.records
    for name in whole.arrays:
        np.testing.assert_array_equal(state.arrays[name], whole.arrays[name])
    for name in whole.replay.frames:
        np.testing.assert_array_equal(state.replay.frames[name], whole.replay.frames[name])


def test_a_later_checkpoint_stores_only_new_replay_rows(two):
    _, _, first, second = two
    (old,), (new_segments,) = first.segments, second.segments
    assert [s["path"] for s in new_segments][:1] == [s["path"] for s in old]
    assert new_segments[1]["start"] == old[0]["stop"]


@pytest.mark.parametrize("damage", [lambda b: b[:-7], lambda b: b"", lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_any_damaged_file_is_refused_and_the_one_before_still_reads(two, tmp_path, damage):
    _, _, first, second = two
    own = [path for path in (*second.files, second.name) if path not in first.files]
    assert len(own) == 4
    for path in own:
        file = tmp_path / path
        content = file.read_bytes()
        file.write_bytes(damage(content))
        with pytest.raises(CheckpointError, match="altered"):
            checkpoint.read(tmp_path, second.name, second.digest)
        file.write_bytes(content)
    (tmp_path / second.name).unlink()
    with pytest.raises(CheckpointError, match="cannot read"):
        checkpoint.read(tmp_path, second.name, second.digest)
    checkpoint.read(tmp_path, first.name, first.digest)


def test_a_newer_format_is_refused_by_its_number(two, tmp_path):
    _, _, first, _ = two
    path = tmp_path / first.name
    path.write_bytes(path.read_bytes().replace(b'"format": 1', b'"format": 7'))
    with pytest.raises(CheckpointError, match="format 7"):
        checkpoint.read(tmp_path, first.name, digest(path.read_bytes()))


def without_each_key(document):
    """The document less one key at a time, at any depth."""
    for key, value in document.items():
        yield {k: v for k, v in document.items() if k != key}
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, dict) and key not in ("files", "config", "records", "counters", "extra"):
            for less in without_each_key(first):
                yield {**document, key: [less, *value[1:]] if isinstance(value, list) else less}


def test_a_foreign_or_incomplete_manifest_is_refused_with_a_sentence(two, tmp_path):
    _, _, first, _ = two
    path = tmp_path / first.name
    document = json.loads(path.read_bytes())
    broken = [{**document, "kind": "zoo"}, [], *without_each_key(document)]
    assert len(broken) > 15
    for wrong in broken:
        path.write_text(json.dumps(wrong))
        with pytest.raises(CheckpointError, match=r"is not an|can read|format None"):
            checkpoint.read(tmp_path, first.name, digest(path.read_bytes()))


def spoiled(state):
    """States of another release, another machine's simulator, another shape; a word from each refusal."""
    arrays, replay, records = dict(state.arrays), state.replay, dict(state.records)
    name = "critic/last.bias"
    less = {k: v for k, v in arrays.items() if k != "actor.first/last.bias"}
    yield dataclasses.replace(state, arrays=less), "lacks 'actor.first/last.bias'"
    yield dataclasses.replace(state, arrays={**arrays, name: arrays[name][:, :2]}), "critic/last.bias"
    physics = arrays["env/1/physics"]
    yield dataclasses.replace(state, arrays={**arrays, "env/1/physics": physics[:-1]}), "physics"
    frames = {k: v for k, v in replay.frames.items() if k != "reward"}
    yield dataclasses.replace(state, replay=dataclasses.replace(replay, frames=frames)), "reward"
    for key in ("episodes", "phase"):
        yield dataclasses.replace(state, records={k: v for k, v in records.items() if k != key}), "read"


def test_a_state_that_does_not_fit_is_refused_at_the_door_and_the_others_train_on(two, small):
    population, member, *_ = two
    config = small(env_steps=200)
    state, crowd = population.snapshot(member), Population(config, 2, slice_seconds=0)
    stays = crowd.admit(config, state)
    advance(crowd, 70)
    for wrong, sentence in spoiled(state):
        with pytest.raises(CheckpointError, match=sentence):
            crowd.admit(config, wrong)
    before = crowd.snapshot(stays)
    crowd.admit(config, state)
    advance(crowd, 80)
    assert crowd.snapshot(stays).counters["vector_steps"] > before.counters["vector_steps"]
    crowd.close()


def test_nothing_is_pickled_on_the_way_out_or_in(two, tmp_path, monkeypatch):
    population, member, *_ = two

    def refuse(*given, **named):
        raise AssertionError("pickled")

    for name in ("dumps", "dump", "loads", "load", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    for name in ("save", "load"):
        monkeypatch.setattr(torch, name, refuse)
    with pytest.raises(AssertionError):
        torch.save({}, tmp_path / "x")
    written = checkpoint.write(tmp_path / "new", [population.snapshot(member)])
    checkpoint.read(tmp_path / "new", written.name, written.digest)
    population.policy(member).save(tmp_path / "policy")
    Policy.load(tmp_path / "policy")


def test_a_manifest_that_leads_out_of_its_folder_is_refused(two, tmp_path):
    _, _, first, _ = two
    path = tmp_path / first.name
    path.write_bytes(path.read_bytes().replace(b'"replay/0-', b'"../../0-'))
    with pytest.raises(CheckpointError, match="outside"):
        checkpoint.read(tmp_path, first.name, digest(path.read_bytes()))


def test_pruning_keeps_what_the_kept_need(two, tmp_path):
    _, _, first, second = two
    deleted = checkpoint.prune(tmp_path, [second])
    assert first.name in deleted
    checkpoint.read(tmp_path, second.name, second.digest)


def test_replay_older_than_its_window_is_left_behind(small, tmp_path):
    config = small(env_steps=600, replay_size=64, num_envs=4, batch_size=8)
    population = Population(config, slice_seconds=0)
    member = population.admit(config)
    previous = None
    for steps in range(80, 601, 65):
        advance(population, steps)
        stored = previous.stored[0] if previous else (0, 0)
        previous = checkpoint.write(tmp_path, [population.snapshot(member, stored)], {}, previous)
    assert len(previous.segments[0]) < 6
    (state,), _ = checkpoint.read(tmp_path, previous.name, previous.digest)
    np.testing.assert_array_equal(
        state.replay.frames["seen"], population.snapshot(member).replay.frames["seen"]
    )
    population.close()
