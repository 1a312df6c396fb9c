"""Program: the parts that all members of a population share, and one member's way into and out of them."""

from collections.abc import Sequence

import torch

from omad_core.collector import Collector, Episodes
from omad_core.config import TrainConfig
from omad_core.envs import make_env
from omad_core.events import Broken, Diverged
from omad_core.graphs import engine_for
from omad_core.learner import Learner
from omad_core.member import Member, Phase
from omad_core.noise import IndexBlocks, NoiseBlocks
from omad_core.replay import Replay
from omad_core.state import MemberState
from omad_core.streams import Stream

NOISE_BLOCK = 32


class Program:
    """Networks, replay, environments and noise of `capacity` places."""

    def __init__(
        self, config: TrainConfig, capacity: int, device: torch.device, quantiles: int, env_threads: int
    ) -> None:
        self.config, self.capacity, self.device = config, capacity, device
        envs, episodes, batch = config.num_envs, config.evaluation.episodes, config.batch_size
        env = make_env(config.task, config.env, capacity * envs, env_threads)
        self.spec = spec = env.spec
        self.learner = Learner(spec, config, capacity, device, quantiles)
        self.replay = Replay(spec, capacity, envs, config.replay_size, config.n_step, device)
        self.engine = engine_for(self.learner, self.replay)
        self.collector = Collector(env, self.replay, capacity, envs)
        self.evaluation_env = make_env(config.task, config.env, capacity * episodes, env_threads)
        self.indices = IndexBlocks(NOISE_BLOCK, capacity, batch, device)
        rows = {Stream.ACT: envs, Stream.TARGET: batch, Stream.ACTOR: batch, Stream.EVALUATE: episodes}
        self.noise = {
            stream: NoiseBlocks(
                stream, NOISE_BLOCK, capacity, (spec.num_agents, count, spec.action_width), device
            )
            for stream, count in rows.items()
        }

    def check(self, member: Member, state: MemberState) -> None:
        """Raise CheckpointError unless a member that has not begun can go on from a state."""
        Episodes.recorded(state.records.get("episodes"))
        self.learner.weights.check(member.config, state.arrays)
        self.replay.check(state.replay)
        self.collector.check(member.place, state.arrays)

    def seat(self, member: Member, state: MemberState | None, present: Sequence[Member]) -> bool:
        """Give a member its place: fresh, or as its state says. `present`: all members that have begun.

        False: its environments could not be put back, their episodes begin anew.
        """
        place, config, exact = member.place, member.config, True
        self.indices.forget(place)
        if state is None:
            self.learner.start(place, config)
            self.collector.start(place, config)
        else:
            self.learner.load(place, config, state.arrays)
            self.replay.load(place, state.replay)
            episodes = Episodes.recorded(state.records.get("episodes"))
            exact = self.collector.load(place, config, state.arrays, episodes)
        # With the members the longest chain may have changed.
        self.learner.set_present([m.config for m in present])
        for noise in self.noise.values():
            noise.resize(self.learner.chain_noises)
        self.learner.weights.remember()
        return exact

    def state_of(self, member: Member, stored: tuple[int, int]) -> MemberState:
        """Complete state of a member, less the replay rows that are `stored` already."""
        place = member.place
        episodes = vars(self.collector.episodes[place]).copy()
        arrays = self.learner.weights.row(place, member.config) | self.collector.row(place)
        return MemberState(
            config=member.config,
            counters=member.counters(),
            arrays=arrays,
            records={"episodes": episodes, **member.records()},
            replay=self.replay.rows(place, stored),
        )

    def noise_of(self, stream: Stream, wanted: dict[int, tuple[Member, int]]) -> torch.Tensor:
        """Noise [1 + K, P, A, N, U], each member's at its own position."""
        noise = self.noise[stream]
        for place, (member, position) in wanted.items():
            noise.at(position, place, member.config.seed, member.config.actor.noises)
        return noise.gather(self._positions(wanted))

    def indices_of(self, wanted: dict[int, tuple[Member, int]]) -> torch.Tensor:
        """Batch indices [P, B], each member's at its own position."""
        for place, (member, position) in wanted.items():
            self.indices.at(position, place, member.config.seed)
        return self.indices.gather(self._positions(wanted))

    def _positions(self, wanted: dict[int, tuple[Member, int]]) -> list[int]:
        """A position for every place; what is drawn for the others does not matter."""
        common = next(iter(wanted.values()))[1]
        return [wanted[place][1] if place in wanted else common for place in range(self.capacity)]

    def lose(self, member: Member, what: str) -> Diverged:
        """A member's numbers are not finite: it stops with the last copy in which they were."""
        self.learner.weights.recall(member.place)
        member.phase = Phase.DIVERGED
        return Diverged(member.id, member.env_steps, what)

    def give_up(self, member: Member, error: Exception) -> Broken:
        """An environment of a member raised: it cannot go on."""
        member.phase = Phase.BROKEN
        return Broken(member.id, member.env_steps, error)

    def close(self) -> None:
        """Free environments and threads."""
        self.collector.env.close()
        self.evaluation_env.close()
