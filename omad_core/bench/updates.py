"""Updates a second: of populations, beside their own matrix products and beside a Gaussian policy's update."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from omad_core.algorithm.learner import Learner
from omad_core.bench.products import alone, record
from omad_core.bench.stopwatch import Action, in_turns
from omad_core.checkpoint.state import ReplayRows
from omad_core.config import TrainConfig, default_config
from omad_core.engine.devices import device_of
from omad_core.engine.graphs import Buffers, EagerEngine, Engine, engine_for
from omad_core.engine.replay import Replay
from omad_core.envs import make_spec
from omad_core.rng.draw_blocks import DrawKind, draw
from omad_core.settings import get, replace
from omad_core.task import TaskSpec

TRANSITIONS = 4096
"""Transitions in the replay, from which batches are drawn."""
ROUNDS = 2
"""Of several members together; one before them is not counted."""
LEAST_SECONDS = 2.0
"""Several members are measured where it takes less, however short the measurement is to be."""


@dataclass(frozen=True)
class UpdateSpeeds:
    """Updates as training makes them, batches drawn: one of the actors to `policy_delay` of the critics."""

    ms: dict[int, float]
    """Milliseconds of one update of P members together, for the P measured; processor time on a CPU, else wall time."""
    gflop: float
    """Products of one update of one member, in 10^9 operations."""
    products_ms: float
    """The same products alone, one member."""
    gaussian_ms: float
    """An update of a Gaussian policy in the same code, one member."""
    acting_ms: float
    """One joint action of one environment."""

    @property
    def over_products(self) -> float:
        return self.ms[1] / self.products_ms

    @property
    def over_gaussian(self) -> float:
        return self.ms[1] / self.gaussian_ms

    def gain(self, members: int) -> float:
        """Updates a second of all members together, relative to one member alone."""
        return members * self.ms[1] / self.ms[members]


class UpdateBench:
    """A learner with a replay of random numbers, which is no task's, and all that an update takes."""

    def __init__(self, config: TrainConfig, members: int, device: torch.device) -> None:
        config = replace(config, {"num_envs": 1})
        spec = make_spec(config.task, config.env)
        self.delay, self.device = config.policy_delay, device
        self.learner = Learner(spec, config, members, device, config.critic.quantiles)
        for lane in range(members):
            self.learner.start(lane, config)
        self.learner.set_present([config] * members)
        replay = _fill_replay(spec, config, members, device)
        self._engine, self._eager = engine_for(self.learner, replay), EagerEngine(self.learner, replay)
        like = Buffers(self.learner)
        self._indices = torch.randint(0, 2**62, like.indices.shape, device=device)
        self._draws = {
            name: _random(spec.kind, like.draws[name]) for name, spec in self.learner.objective.draws.items()
        }
        self._acting = torch.randn_like(like.acting)
        rng = np.random.default_rng(0)
        self._obs = rng.normal(size=(members, 1, *like.obs.shape[1::2])).astype(np.float32)

    def cycle(self) -> int:
        """`policy_delay` updates, the first with the actors, as they are computed on this device."""
        return self._cycle(self._engine)

    def eager_cycle(self) -> int:
        """The same, operation by operation."""
        return self._cycle(self._eager)

    def _cycle(self, engine: Engine) -> int:
        for update in range(self.delay):
            engine.update(self._indices, self._draws, update == 0, None)
        return self.wait(self.delay)

    def act(self) -> int:
        """Fifty joint actions, one after the other, brought back to NumPy."""
        for _ in range(50):
            self._engine.act(self._obs, self._acting)()
        return 50

    def wait(self, pieces: int) -> int:
        """Wait until the device has finished all queued work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return pieces


def _random(kind: DrawKind, like: torch.Tensor) -> torch.Tensor:
    return draw(kind, tuple(like.shape), torch.Generator(like.device))


def _fill_replay(spec: TaskSpec, config: TrainConfig, members: int, device: torch.device) -> Replay:
    """Random transitions of episodes that never end."""
    replay, rng = Replay(spec, members, 1, TRANSITIONS, config.n_step, device), np.random.default_rng(0)
    width = spec.num_agents * spec.obs_width + spec.state_dim
    frames: dict[str, NDArray[np.generic]] = {
        "seen": rng.normal(size=(TRANSITIONS, 1, width)).astype(np.float32),
        "action": rng.uniform(-1.0, 1.0, (TRANSITIONS, 1, spec.num_agents * spec.action_width)).astype(
            np.float32
        ),
        "reward": rng.normal(size=(TRANSITIONS, 1)).astype(np.float32),
        "terminated": np.zeros((TRANSITIONS, 1), np.float32),
        "final": np.full((TRANSITIONS, 1), -1, np.int64),
    }
    finals: dict[str, NDArray[np.generic]] = {
        "seen": np.zeros((0, width), np.float32),
        "frame": np.zeros(0, np.int64),
    }
    for lane in range(members):
        replay.load(lane, ReplayRows(0, 0, TRANSITIONS, frames, 0, 0, 0, finals))
    return replay


def _gaussian(config: TrainConfig) -> TrainConfig:
    """OMAD's update with a Gaussian policy; networks and batch as large as in `config`."""
    same = [
        "batch_size",
        *(f"{part}.hidden_{size}" for part in ("actor", "critic") for size in ("width", "layers")),
    ]
    return replace(default_config(config.task, "gaussian"), {path: get(config, path) for path in same})


def measure(
    config: TrainConfig, members: Sequence[int] = (1, 4, 16), device: str = "cpu", seconds: float = 20.0
) -> UpdateSpeeds:
    """Time updates of `members` (1 among them) in turns with the products and the Gaussian's updates.

    More than one member are left out where they would take longer than `seconds`, judged by one member's update.
    """
    torch.set_float32_matmul_precision(config.matmul_precision)
    torch_device = device_of(device)
    one = UpdateBench(config, 1, torch_device)
    one.eager_cycle()
    products = record(one.eager_cycle)
    multiply = alone(products, torch_device)

    def product_cycle() -> int:
        multiply()
        return one.wait(one.delay)

    gaussian = UpdateBench(_gaussian(config), 1, torch_device)
    compared: dict[str, Action] = {
        "1": one.cycle,
        "products": product_cycle,
        "gaussian": gaussian.cycle,
        "acting": one.act,
    }
    times = in_turns(compared, seconds)
    patience = max(seconds, LEAST_SECONDS) / ((1 + ROUNDS) * one.delay * times["1"].wall)
    for count in (m for m in members if m != 1 and m <= patience):
        times |= in_turns({str(count): UpdateBench(config, count, torch_device).cycle}, seconds / 10, ROUNDS)
    ms = {name: 1e3 * (t.cpu if torch_device.type == "cpu" else t.wall) for name, t in times.items()}
    return UpdateSpeeds(
        ms={count: ms[str(count)] for count in members if str(count) in ms},
        gflop=sum(p.flops for p in products) / one.delay / 1e9,
        products_ms=ms["products"],
        gaussian_ms=ms["gaussian"],
        acting_ms=ms["acting"],
    )
