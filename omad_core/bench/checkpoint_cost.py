"""What a checkpoint costs: ten thousand new transitions on a full replay, against a full write."""

import dataclasses
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omad_core.checkpoint import checkpoint
from omad_core.checkpoint.state import MemberState, ReplayRows
from omad_core.config import TrainConfig
from omad_core.events import MemberId, Progress
from omad_core.population import Population
from omad_core.settings import replace


@dataclass(frozen=True)
class SavingCost:
    """Seconds (processor time, and wall time with the disk's) and bytes of two checkpoints."""

    transitions: int
    """In replay."""
    new: int
    """Transitions since the full write."""
    full_cpu: float
    full_wall: float
    full_bytes: int
    new_cpu: float
    new_wall: float
    new_bytes: int

    @property
    def share(self) -> float:
        """Processor time of the second relative to the first."""
        return self.new_cpu / self.full_cpu


def measure(config: TrainConfig, transitions: int = 1_000_000, new: int = 10_000) -> SavingCost:
    """Fill the replay with `transitions` random ones, write a checkpoint, take `new` random steps, write another."""
    steps = {
        "num_envs": 1,
        "n_step": 1,
        "replay_size": transitions,
        "random_steps": 10**9,
        "env_steps": 10**10,
    }
    config = replace(config, {**steps, "evaluation.every_steps": 10**10})
    population = Population(config)
    try:
        member = _full(population, config, transitions)
        with tempfile.TemporaryDirectory(prefix="omad-bench-") as folder:
            root = Path(folder)
            first, *full = _time(lambda: checkpoint.write(root, [population.snapshot(member)]))
            full_bytes = _size(root)
            _advance(population, member, first.step + new)
            second, *later = _time(
                lambda: checkpoint.write(root, [population.snapshot(member, first.stored[0])], None, first)
            )
            made = _size(root) - full_bytes
            count = second.stored[0][0] - first.stored[0][0]
    finally:
        population.close()
    return SavingCost(transitions, count, full[0], full[1], full_bytes, later[0], later[1], made)


def _full(population: Population, config: TrainConfig, transitions: int) -> MemberId:
    """A member whose replay is full."""
    member = population.admit(config)
    _advance(population, member, 2)
    state = population.snapshot(member)
    population.evict(member)
    counters = {**state.counters, "vector_steps": transitions}
    filled = dataclasses.replace(state, counters=counters, replay=_rows(state, transitions))
    member = population.admit(config, filled)
    population.advance()
    return member


def _rows(state: MemberState, count: int) -> ReplayRows:
    """Random numbers in the shapes of a member's replay, no episode having ended."""
    rng = np.random.default_rng(0)
    old = state.replay

    def fill(name: str, like: NDArray[np.generic]) -> NDArray[np.generic]:
        shape = (count, *like.shape[1:])
        if name == "final":
            return np.full(shape, -1, like.dtype)
        return np.asarray(rng.random(shape, np.float32), like.dtype)

    frames = {name: fill(name, array) for name, array in old.frames.items()}
    finals = {name: array[:0] for name, array in old.finals.items()}
    return ReplayRows(0, 0, count, frames, 0, 0, 0, finals)


def _advance(population: Population, member: MemberId, env_steps: int) -> None:
    reached = 0
    while reached < env_steps:
        reached = max(
            [
                0,
                *(
                    e.env_steps
                    for e in population.advance()
                    if isinstance(e, Progress) and e.member == member
                ),
            ]
        )


def _time(
    work: Callable[[], checkpoint.StoredCheckpoint],
) -> tuple[checkpoint.StoredCheckpoint, float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    written = work()
    return written, time.process_time() - cpu, time.perf_counter() - wall


def _size(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
