"""Engines: updates and actions computed eagerly on a CPU, recorded once and replayed on a CUDA device.

An update is hundreds of small operations, and launching one on a GPU takes longer than computing it. A CUDA graph
launches all of them at once; it repeats the very same operations on the very same addresses. Hence the rules:
what differs from one update to the next (batch indices, random numbers, which members learn) is drawn outside and
copied into buffers that stay; everything else that an update reads or writes stays where it is (`Learner.version`
says when it does not); nothing inside asks for a value; looking for divergence and keeping copies happen outside.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omad_core.algorithm.batch import Transitions
from omad_core.algorithm.learner import Learner
from omad_core.algorithm.objectives.objective import Draws
from omad_core.engine.transfer import fetch, send
from omad_core.rng.draw_blocks import dtype_of

Work = Callable[[], None]
Record = Callable[[Sequence[Work], torch.device], list[Work]]
"""From pieces of work to their replays. It may run each piece before."""
WARM_UPS = 3
"""Runs before a capture: libraries set themselves up in the first ones, which a graph must not record."""
RECORDING_SECONDS = 120.0
"""No recording of ours should take as long."""


class Memory(Protocol):
    """Where batches come from."""

    def sample(self, random: Tensor, gamma: Tensor) -> Transitions:
        """Transitions for `random` [P, B]."""
        ...


class Engine(Protocol):
    """Computes actions and updates of all members."""

    overlaps: bool
    """Whether calls return before the work is done, so that the caller can do something else meanwhile."""

    @property
    def stale(self) -> bool:
        """Whether the next call takes long, because it records first."""
        ...

    def act(self, obs: NDArray[np.float32], noise: Tensor) -> Callable[[], NDArray[np.float32]]:
        """Begin actions [P, N, A, U] for obs [P, N, A, O] and noise [noises, P, A, N, U]; the answer waits."""
        ...

    def update(self, indices: Tensor, draws: Draws, actors: bool, learning: Tensor | None) -> None:
        """One update of the critics, and with `actors` one of the policies and the objective's own state.

        indices: [P, B]; draws: what the objective declared, of its updates of actors only with `actors`; learning:
        [P], None for all.
        """
        ...


class EagerEngine:
    """Computes operation by operation."""

    overlaps = False
    stale = False

    def __init__(self, learner: Learner, memory: Memory) -> None:
        self._learner, self._memory = learner, memory

    def act(self, obs: NDArray[np.float32], noise: Tensor) -> Callable[[], NDArray[np.float32]]:
        observed = send(obs, self._learner.device).transpose(1, 2)
        return fetch(self._learner.explore(observed, noise).transpose(1, 2))

    def update(self, indices: Tensor, draws: Draws, actors: bool, learning: Tensor | None) -> None:
        batch = self._memory.sample(indices, self._learner.scalars["gamma"])
        self._learner.update_critic(batch, draws, learning, actors)
        if actors:
            self._learner.update_actor(batch, draws, learning)


class Buffers:
    """What differs from one call to the next, at addresses that stay. At first no member learns."""

    def __init__(self, learner: Learner) -> None:
        spec, config, device, members = learner.spec, learner.config, learner.device, learner.capacity
        envs, batch = config.num_envs, config.batch_size

        self.indices = torch.zeros(members, batch, dtype=torch.int64, device=device)
        self.draws: dict[str, Tensor] = {}
        for name, draw in learner.objective.draws.items():
            rows = (learner.rows[name],) if draw.rows else ()
            size = (*rows, members, *draw.shape(spec, config))
            self.draws[name] = torch.zeros(size, dtype=dtype_of(draw.kind), device=device)
        noise = (learner.most_noises, members, spec.num_agents, envs, spec.action_width)
        self.acting = torch.zeros(noise, device=device)
        self.learning = torch.zeros(members, dtype=torch.bool, device=device)
        self.obs = torch.zeros(members, spec.num_agents, envs, spec.obs_width, device=device)
        self.actions = torch.zeros(members, envs, spec.num_agents, spec.action_width, device=device)


class CudaGraphEngine:
    """Records an update of the critics, one of critics and actors, and acting; then only replays them."""

    overlaps = True

    def __init__(self, learner: Learner, memory: Memory, record: Record) -> None:
        self._learner, self._record = learner, record
        self._eager = EagerEngine(learner, memory)
        self._version = -1
        self._replays: list[Work] = []

    @property
    def stale(self) -> bool:
        return self._version != self._learner.version

    def act(self, obs: NDArray[np.float32], noise: Tensor) -> Callable[[], NDArray[np.float32]]:
        self._record_if_stale()
        self._buffers.obs.copy_(send(obs, self._learner.device).transpose(1, 2))
        self._buffers.acting.copy_(noise)
        _, _, acting = self._replays
        acting()
        return fetch(self._buffers.actions)

    def update(self, indices: Tensor, draws: Draws, actors: bool, learning: Tensor | None) -> None:
        self._record_if_stale()
        buffers, (critics, both, _) = self._buffers, self._replays
        buffers.indices.copy_(indices)
        for name, drawn in draws.items():
            buffers.draws[name].copy_(drawn)
        if learning is None:
            buffers.learning.fill_(True)
        else:
            buffers.learning.copy_(learning)
        if actors:
            both()
        else:
            critics()

    def _record_if_stale(self) -> None:
        if not self.stale:
            return
        # The old graphs' memory first. In the new buffers no member learns: runs before recording leave no trace.
        self._replays = []
        self._buffers = Buffers(self._learner)
        self._replays = self._record([self._critics, self._both, self._acting], self._learner.device)
        self._version = self._learner.version

    def _critics(self) -> None:
        buffers = self._buffers
        self._eager.update(buffers.indices, buffers.draws, False, buffers.learning)

    def _both(self) -> None:
        buffers = self._buffers
        self._eager.update(buffers.indices, buffers.draws, True, buffers.learning)

    def _acting(self) -> None:
        actions = self._learner.explore(self._buffers.obs, self._buffers.acting)
        self._buffers.actions.copy_(actions.transpose(1, 2))


def record_cuda(works: Sequence[Work], device: torch.device) -> list[Work]:
    """Record pieces of work as CUDA graphs.

    They share one pool of memory: none leaves anything in it that another one, or its own next replay, needs.
    """
    with torch.cuda.device(device):
        # A stream of our own: torch's for recording belongs to whichever device recorded first.
        pool, aside = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
        return [_record_one(work, pool, aside) for work in works]


def _record_one(work: Work, pool: Any, aside: torch.cuda.Stream) -> Work:
    main = torch.cuda.current_stream()
    aside.wait_stream(main)
    with torch.cuda.stream(aside):
        for _ in range(WARM_UPS):
            work()
    main.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # Other threads (environments, uploads) may use the device meanwhile.
    with torch.cuda.graph(graph, pool=pool, stream=aside, capture_error_mode="thread_local"):
        work()
    return graph.replay


def engine_for(learner: Learner, memory: Memory) -> Engine:
    """The engine of a device: eager on a CPU, recorded graphs on a CUDA device."""
    return (
        CudaGraphEngine(learner, memory, record_cuda)
        if learner.device.type == "cuda"
        else EagerEngine(learner, memory)
    )
