"""Updates a second: of populations, beside their own matrix products and beside a Gaussian policy's update."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from omad_core.bench.products import alone, record
from omad_core.bench.stopwatch import Action, in_turns
from omad_core.config import TrainConfig
from omad_core.envs import make_spec
from omad_core.learner import Learner
from omad_core.replay import Transitions
from omad_core.settings import replace


@dataclass(frozen=True)
class UpdateSpeeds:
    """Updates as they come in training: one of the actors to `policy_delay` of the critics."""

    ms: dict[int, float]
    """Milliseconds of one update of P members together; processor time on a CPU, else wall time."""
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


class Bench:
    """A learner with a batch to learn from, which is no task's."""

    def __init__(self, config: TrainConfig, members: int, device: torch.device) -> None:
        spec = make_spec(config.task, config.env)
        self.delay, self.device = config.policy_delay, device
        self.learner = Learner(spec, config, members, device, config.critic.quantiles)
        for place in range(members):
            self.learner.start(place, config)
        self.learner.set_present([config] * members)
        agents, batch = spec.num_agents, config.batch_size
        obs = (members, agents, batch, spec.obs_width)
        action = (members, agents, batch, spec.action_width)
        state = (members, batch, spec.state_dim)
        self.batch = Transitions(
            obs=torch.randn(obs, device=device),
            state=torch.randn(state, device=device),
            action=2.0 * torch.rand(action, device=device) - 1.0,
            reward=torch.randn(members, batch, device=device),
            discount=torch.full((members, batch), config.gamma, device=device),
            next_obs=torch.randn(obs, device=device),
            next_state=torch.randn(state, device=device),
        )
        self.noise = torch.randn(self.learner.chain_noises, *action, device=device)

    def cycle(self) -> int:
        """`policy_delay` updates, the first with the actors."""
        for update in range(self.delay):
            self.learner.update_critic(self.batch, self.noise, None, update == 0)
            if update == 0:
                self.learner.update_actor(self.batch, self.noise, None)
        return self.wait(self.delay)

    def act(self) -> int:
        """Fifty joint actions, one after the other, brought back to NumPy."""
        obs, noise = self.batch.obs[:, :, :1], self.noise[:, :, :, :1]
        for _ in range(50):
            self.learner.act(obs, noise).cpu().numpy()
        return 50

    def wait(self, pieces: int) -> int:
        """Until the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return pieces


def measure(
    config: TrainConfig, members: Sequence[int] = (1, 4, 16), device: str = "cpu", seconds: float = 20.0
) -> UpdateSpeeds:
    """Time updates of `members` (1 among them) in turns with the products and the Gaussian's updates."""
    torch.set_float32_matmul_precision(config.matmul_precision)
    place = torch.device(device)
    one = Bench(config, 1, place)
    one.cycle()
    products = record(one.cycle)
    multiply = alone(products, place)

    def product_cycle() -> int:
        multiply()
        return one.wait(one.delay)

    gaussian = Bench(replace(config, {"actor.kind": "gaussian"}), 1, place)
    compared: dict[str, Action] = {
        "1": one.cycle,
        "products": product_cycle,
        "gaussian": gaussian.cycle,
        "acting": one.act,
    }
    times = in_turns(compared, seconds)
    for count in (m for m in members if m != 1):
        times |= in_turns({str(count): Bench(config, count, place).cycle}, seconds / 10, least_rounds=2)
    ms = {name: 1e3 * (t.cpu if place.type == "cpu" else t.wall) for name, t in times.items()}
    return UpdateSpeeds(
        ms={count: ms[str(count)] for count in members},
        gflop=sum(p.flops for p in products) / one.delay / 1e9,
        products_ms=ms["products"],
        gaussian_ms=ms["gaussian"],
        acting_ms=ms["acting"],
    )
