"""Draws by position: a function of seed, stream and position, whatever else is in the buffer."""

import pytest
import torch

from omad_core.rng.draw_blocks import DrawBlocks

CPU = torch.device("cpu")


def blocks(kind="normal", capacity=2, length=4, stream=101):
    return DrawBlocks(stream, kind, length, capacity, (3, 5), CPU)


def drawn(source, position, lane, seed, rows=1):
    source.at(position, lane, seed, rows)
    return source.gather([position] * 2)[:, lane].clone()


@pytest.mark.parametrize("kind", ["normal", "uniform", "integer", "permutation"])
def test_a_draw_follows_from_seed_stream_and_position_alone(kind):
    first, other = blocks(kind), blocks(kind)
    expected = drawn(first, 6, 0, seed=1)
    drawn(other, 2, 0, seed=9)
    other.start(1, 1)
    assert torch.equal(drawn(other, 6, 1, seed=1), expected)
    assert not torch.equal(drawn(first, 7, 0, seed=1), expected)
    assert not torch.equal(drawn(blocks(kind, stream=102), 6, 0, seed=1), expected)


def test_a_member_that_takes_a_lane_draws_its_own_and_finds_no_padding_of_the_one_before():
    source = blocks()
    source.start(0, 3)
    drawn(source, 0, 0, seed=1, rows=3)
    source.start(0, 3)
    assert not source.gather([0, 0]).any()
    found = drawn(source, 0, 0, seed=2, rows=2)
    assert torch.equal(found[:2], drawn(blocks_of(2), 0, 1, seed=2, rows=2))
    assert not found[2].any()


def blocks_of(rows):
    source = blocks()
    source.resize(rows)
    return source


def test_members_at_other_positions_are_gathered_each_at_its_own():
    source = blocks()
    source.at(1, 0, 1)
    source.at(6, 1, 2)
    found = source.gather([1, 6])
    assert torch.equal(found[:, 0], drawn(blocks(), 1, 0, 1))
    assert torch.equal(found[:, 1], drawn(blocks(), 6, 1, 2))


@pytest.mark.parametrize(("kind", "low", "high"), [("uniform", 0.0, 1.0), ("integer", 0, 2**62)])
def test_numbers_lie_where_their_kind_says(kind, low, high):
    found = drawn(blocks(kind), 0, 0, seed=1)
    assert ((found >= low) & (found < high)).all()
    assert found.unique().numel() == found.numel()


def test_permutations_hold_every_index_once():
    found = drawn(blocks("permutation"), 0, 0, seed=1)
    assert torch.equal(found.sort(-1).values, torch.arange(5).expand(1, 3, 5))
