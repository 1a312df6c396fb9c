"""Updates as graphs: recorded once, they do what the same code does step by step, and wait for nobody.

What a graph may not contain is tested without a GPU: a tape repeats operations and addresses as a graph does.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from member_checks import advance_to

from omad_core.algorithm.learner import Learner
from omad_core.bench import updates
from omad_core.engine.graphs import Buffers, CudaGraphEngine, EagerEngine, record_cuda
from omad_core.engine.replay import Replay
from omad_core.events import Busy, Evaluated
from omad_core.nn.adam import Adam
from omad_core.population import Population
from omad_core.rng.draw_blocks import draw

sys.path.insert(0, str(Path(__file__).parent))
from tape import Tape, call_again, record

SYNCS = (
    "_local_scalar_dense",
    "nonzero",
    "is_nonzero",
    "equal",
    "masked_select",
    "unique",
    "_unique2",
    "lift_fresh",
)
"""Operations that ask a device for a value, or bring it one from the host."""
KINDS = [
    {"actor__kind": "diffusion", "critic__head": "quantile"},
    {"actor__kind": "diffusion", "critic__head": "categorical"},
    {"actor__kind": "gaussian", "critic__head": "quantile"},
    {"algorithm": "hasac", "actor__kind": "gaussian", "critic__head": "scalar", "critic__target_tau": 0.1},
    {
        "algorithm": "madpmd",
        "actor__kind": "ddpm",
        "madpmd__candidates": 6,
        "madpmd__states": 8,
        "madpmd__chunk": 4,
        "madpmd__refresh": 2,
    },
]


def recorded(population, how):
    """Make a population on the CPU compute as beside a GPU."""
    member_batch = population._member_batch
    member_batch.engine = CudaGraphEngine(member_batch.learner, member_batch.replay, how)
    return population


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def parts(config, device="cpu", capacity=2):
    """A learner of `capacity` members and a replay with something in it."""
    population = Population(config, capacity, device, slice_seconds=0)
    members = [population.admit(config) for _ in range(capacity)]
    advance_to(population, members[0], 20)
    population.close()
    return population._member_batch.learner, population._member_batch.replay


def inputs(learner, seed=0):
    """What one update takes, drawn at random."""
    gen = torch.Generator().manual_seed(seed)
    buffers, kinds = Buffers(learner), learner.objective.draws
    indices = draw("integer", buffers.indices.shape, gen).to(learner.device)
    learning = torch.tensor([lane != seed % learner.capacity for lane in range(learner.capacity)])
    draws = {name: draw(kinds[name].kind, like.shape, gen).to(like) for name, like in buffers.draws.items()}
    return indices, draws, learning.to(learner.device)


@pytest.mark.parametrize("kind", KINDS)
def test_a_recorded_training_is_the_one_computed_step_by_step(small, run_to_end, kind):
    ends = []
    for how in (call_again, record):
        config = small(seed=1, **kind)
        population = recorded(Population(config, 2, slice_seconds=0), how)
        first = population.admit(config)
        advance_to(population, first, 30)
        other = population.admit(small(seed=2, actor__denoising_steps=5, gamma=0.9, **kind))
        advance_to(population, first, 44)
        population.evict(other)
        third = population.admit(small(seed=3, critic__quantiles=3, critic__v_max=9.0, **kind))
        advance_to(population, third, 8)
        population.evict(third)
        fourth = population.admit(small(seed=4, critic__quantiles=4, critic__v_max=2.0, **kind))
        run_to_end(population, {first, fourth})
        ends.append([population.snapshot(member).arrays for member in (first, fourth)])
        population.close()
    for left, right in zip(*ends, strict=True):
        assert_equal(left, right)


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_asks_for_no_value(small, kind):
    learner, replay = parts(small(**kind))
    engine = EagerEngine(learner, replay)
    indices, draws, learning = inputs(learner)
    with Tape() as tape:
        engine.update(indices, draws, True, learning)
        learner.act(Buffers(learner).obs, Buffers(learner).acting)
    asked = [call[0] for call in tape.calls if call[0].overloadpacket.__name__ in SYNCS]
    picked = [
        call[0]
        for call in tape.calls
        if call[0].overloadpacket.__name__ in ("index", "index_put_")
        and any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in call[1][1])
    ]
    moved = [call[0] for call in tape.calls if "device" in call[2] and call[2]["device"] != learner.device]
    assert not asked + picked + moved
    assert len(tape.calls) > 500


def test_gradients_lie_in_memory_as_their_parameters():
    # Torch's kernel reads memory in its order on a CPU, and refuses other strides on a GPU.
    gradients = {
        "narrow": torch.randn(2, 3, 1, 4).transpose(2, 3),
        "turned": torch.randn(2, 3, 5, 4).mT,
        "one": torch.randn(2),
    }
    adam = Adam({name: torch.zeros(gradient.shape) for name, gradient in gradients.items()})
    with Tape() as tape:
        adam.step(list(gradients.values()), torch.ones(2))
    steps = [call[1] for call in tape.calls if call[0].overloadpacket.__name__ == "_fused_adam_"]
    assert len(steps) == 2
    for params, *others in steps:
        for tensors in others[:3]:
            assert [t.stride() for t in tensors] == [p.stride() for p in params]


@pytest.fixture
def adam_without_values():
    """The one operation that torch does not know for tensors without values."""
    library = torch.library.Library("aten", "IMPL", "Meta")
    calls = []

    def on_meta(*lists, **settings):
        calls.append(lists)
        tensors = [t for tensors in lists for t in tensors] + [settings["lr"], settings["found_inf"]]
        assert {tensor.device.type for tensor in tensors} == {"meta"}

    library.impl("_fused_adam_.tensor_lr", on_meta)
    yield calls
    library._destroy()


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_on_a_device_touches_no_tensor_of_the_host(small, kind, adam_without_values):
    config = small(**kind)
    spec = parts(config)[0].spec
    # Tensors there have shapes and no values: whatever asks for one, or mixes it with the host's, raises.
    device = torch.device("meta")
    learner = Learner(spec, config, 2, device, config.critic.quantiles)
    engine = EagerEngine(learner, Replay(spec, 2, config.num_envs, config.replay_size, config.n_step, device))
    buffers = Buffers(learner)
    engine.update(buffers.indices, buffers.draws, True, buffers.learning)
    assert learner.act(buffers.obs, buffers.acting).device == device
    assert adam_without_values


@pytest.mark.parametrize("kind", KINDS)
def test_everything_an_update_reads_stays_where_it_is(small, kind):
    config = small(**kind)
    population = recorded(Population(config, 2, slice_seconds=0), call_again)
    member = population.admit(config)
    advance_to(population, member, 30)
    population.admit(config)
    advance_to(population, member, 34)
    tapes = []
    for _ in range(2):
        with Tape() as tape:
            population._member_batch.engine._both()
        tapes.append(tape)
        population.evict(member)
        member = population.admit(small(seed=8, critic__quantiles=4, critic__v_max=7.0, **kind))
        advance_to(population, member, 30)
    assert tapes[0].read() == tapes[1].read()
    assert len(tapes[0].read()) > 40
    population.close()


def test_runs_before_recording_leave_no_trace(small):
    config = small()
    learner, replay = parts(config)
    before = [learner.weights.row(lane, config) for lane in (0, 1)]
    CudaGraphEngine(learner, replay, record)._record_if_stale()
    for lane in (0, 1):
        assert_equal(learner.weights.row(lane, config), before[lane])


def test_what_takes_long_is_said_before_it_is_done(small, run_to_end):
    config = small()
    population = Population(config, 2, slice_seconds=0)
    done = []

    def note(works, device):
        done.append(len(events))
        return list(works)

    recorded(population, note)
    events: list[object] = []
    member = population.admit(config)
    while not any(isinstance(e, Evaluated) for e in events):
        events += population.advance()
    late = population.admit(small(seed=4, actor__denoising_steps=6))
    events += run_to_end(population, {member, late})
    said = [number for number, event in enumerate(events) if isinstance(event, Busy)]
    assert len(said) == len(done) == 2
    assert said[0] < done[0]
    assert all(events[number].at_most_seconds >= 60 for number in said)
    population.close()


def test_updates_beside_the_simulation_resume_bit_for_bit(small, run_to_end):
    config = small(n_step=3)
    whole = recorded(Population(config, slice_seconds=0), call_again)
    member = whole.admit(config)
    run_to_end(whole, {member})
    first = recorded(Population(config, slice_seconds=0), call_again)
    begun = first.admit(config)
    advance_to(first, begun, 46)
    second = recorded(Population(config, slice_seconds=0), call_again)
    resumed = second.admit(config, first.snapshot(begun))
    run_to_end(second, {resumed})
    assert_equal(second.snapshot(resumed).arrays, whole.snapshot(member).arrays)
    for population in (whole, first, second):
        population.close()


@pytest.mark.parametrize("changes", [{"random_steps": 1}, {"random_steps": 1, "n_step": 6}])
def test_updates_beside_the_simulation_begin_when_there_is_something_to_learn_from(
    small, run_to_end, changes
):
    config = small(**changes)
    population = recorded(Population(config, slice_seconds=0), call_again)
    member_batch, seen = population._member_batch, []
    update = member_batch.engine.update

    def watch(*given):
        seen.append(member_batch.replay._stop[0] - config.n_step + 1 - member_batch.replay._start[0])
        update(*given)

    member_batch.engine.update = watch
    run_to_end(population, {population.admit(config)})
    assert min(seen) == 1
    population.close()


gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, and there is none here"),
]


class TestOnAGpu:
    """What only a GPU can show."""

    pytestmark = gpu

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_graph_computes_what_the_operations_compute(self, small, kind):
        config = small(**kind)
        rows = []
        for make in (EagerEngine, lambda learner, replay: CudaGraphEngine(learner, replay, record_cuda)):
            learner, replay = parts(config, "cuda")
            engine = make(learner, replay)
            for number in range(9):
                indices, draws, learning = inputs(learner, number)
                engine.update(indices, draws, number % 3 == 0, learning)
            rows.append([learner.weights.row(lane, config) for lane in (0, 1)])
        for left, right in zip(*rows, strict=True):
            for name in left:
                np.testing.assert_allclose(left[name], right[name], rtol=1e-3, atol=1e-5, err_msg=name)

    def test_updates_and_what_feeds_them_never_wait(self, small):
        config = small(env_steps=10_000, evaluation__every_steps=10_000, log_every_steps=10_000)
        population = Population(config, 2, "cuda", slice_seconds=0)
        members = [population.admit(config), population.admit(small(env_steps=10_000, seed=5))]
        advance_to(population, members[0], 60)
        trainer, roster = population._trainer, population._roster
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(40):
                trainer._learn(roster.begun(), roster.vector_steps)
                trainer._begin_acting(roster.begun())
        finally:
            torch.cuda.set_sync_debug_mode("default")
        population.close()

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_resumed_training_follows_the_uninterrupted_one(self, small, run_to_end, kind):
        config = small(**kind)
        whole = Population(config, device="cuda", slice_seconds=0)
        member = whole.admit(config)
        run_to_end(whole, {member})
        first = Population(config, device="cuda", slice_seconds=0)
        begun = first.admit(config)
        advance_to(first, begun, 46)
        second = Population(config, device="cuda", slice_seconds=0)
        resumed = second.admit(config, first.snapshot(begun))
        run_to_end(second, {resumed})
        left, right = second.snapshot(resumed).arrays, whole.snapshot(member).arrays
        for name in left:
            np.testing.assert_allclose(left[name], right[name], rtol=1e-3, atol=1e-4, err_msg=name)
        for population in (whole, first, second):
            population.close()

    def test_the_bench_measures_populations(self, small):
        speeds = updates.measure(small(), (1, 8, 32, 64), "cuda", seconds=2.0)
        assert speeds.ms.keys() == {1, 8, 32, 64}
        assert speeds.gain(64) > 1.0
