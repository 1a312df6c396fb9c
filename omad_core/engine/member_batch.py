"""MemberBatch: the parts that all members of a population share, and one member's way into and out of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from omad_core.algorithm.learner import Learner
from omad_core.checkpoint.state import MemberState
from omad_core.config import TrainConfig
from omad_core.engine.collector import Collector, Episodes
from omad_core.engine.graphs import engine_for
from omad_core.engine.member import Member, Phase
from omad_core.engine.replay import Replay
from omad_core.envs import make_env
from omad_core.events import Broken, Diverged
from omad_core.rng.draw_blocks import DrawBlocks, DrawKind
from omad_core.rng.streams import Stream

BLOCK = 32
"""Updates, or vector steps, whose random numbers are drawn at a time."""


Positions = Mapping[int, tuple[Member, int]]
"""By lane: a member, and which of its updates or vector steps is drawn for."""


class MemberBatch:
    """Networks, replay, environments and noise of `capacity` lanes."""

    def __init__(
        self, config: TrainConfig, capacity: int, device: torch.device, quantiles: int, env_threads: int
    ) -> None:
        self.config, self.capacity, self.device = config, capacity, device
        envs, episodes = config.num_envs, config.evaluation.episodes
        env = make_env(config.task, config.env, capacity * envs, env_threads)
        self.spec = spec = env.spec
        self.learner = Learner(spec, config, capacity, device, quantiles)
        self.replay = Replay(spec, capacity, envs, config.replay_size, config.n_step, device)
        self.engine = engine_for(self.learner, self.replay)
        self.collector = Collector(env, self.replay, capacity, envs)
        self.evaluation_env = make_env(config.task, config.env, capacity * episodes, env_threads)

        def blocks(stream: int, kind: DrawKind, length: int, shape: tuple[int, ...]) -> DrawBlocks:
            return DrawBlocks(stream, kind, length, capacity, shape, device)

        self._indices = blocks(Stream.BATCH, "integer", BLOCK, (config.batch_size,))
        self._acting_noise = blocks(Stream.ACT, "normal", BLOCK, (spec.num_agents, envs, spec.action_width))
        self.evaluation_noise = blocks(
            Stream.EVALUATE, "normal", BLOCK, (spec.num_agents, episodes, spec.action_width)
        )
        self._draws = {
            name: blocks(draw.stream, draw.kind, draw.block, draw.shape(spec, config))
            for name, draw in self.learner.objective.draws.items()
        }

    def prepare(self, member: Member, state: MemberState) -> None:
        """Restore the environments of a member that has not begun, the rest of its state being sound.

        Raises CheckpointError, and whatever an environment raises.
        """
        Episodes.from_record(state.records.get("episodes"))
        measures = self.learner.measures.names_in(state.records)
        self.learner.weights.check(member.config, state.arrays, measures)
        self.replay.check(state.replay)
        self.collector.restore(member.lane, state.arrays)

    def begin(self, member: Member, state: MemberState | None, present: Sequence[Member]) -> bool:
        """Begin a member in its lane, fresh or from the state that it was prepared with.

        present: all members that have begun. False: its environments cannot save themselves, their episodes begin anew.
        """
        lane, config, exact = member.lane, member.config, True
        if state is None:
            self.learner.start(lane, config)
            self.collector.start(lane, config)
        else:
            measures = self.learner.measures.names_in(state.records)
            self.learner.load(lane, config, state.arrays, measures)
            self.replay.load(lane, state.replay)
            episodes = Episodes.from_record(state.records.get("episodes"))
            exact = self.collector.load(lane, config, state.arrays, episodes)
        # With the members the longest chain may have changed.
        self.learner.set_present([m.config for m in present])
        self._indices.start(lane, 1)
        for noise in (self._acting_noise, self.evaluation_noise):
            noise.start(lane, self.learner.most_noises)
        for name, draws in self._draws.items():
            draws.start(lane, self.learner.rows[name])
        self.learner.weights.remember()
        return exact

    def state_of(self, member: Member, stored: tuple[int, int]) -> MemberState:
        """Complete state of a member, less the replay rows that are `stored` already."""
        lane = member.lane
        episodes = self.collector.episodes[lane].record()
        arrays = self.learner.weights.row(lane, member.config) | self.collector.row(lane)
        return MemberState(
            config=member.config,
            counters=member.counters(),
            arrays=arrays,
            records={"episodes": episodes, "measures": list(self.learner.measures.names), **member.records()},
            replay=self.replay.rows(lane, stored),
        )

    def acting_noise(self, at: Positions) -> Tensor:
        """Noise [noises, P, A, E, U] of a vector step."""
        return self._gather(self._acting_noise, at, self.learner.noises)

    def indices(self, at: Positions) -> Tensor:
        """Batch indices [P, B] of an update."""
        return self._gather(self._indices, at)[0]

    def draws(self, update: Literal["critic", "actor"], at: Positions) -> dict[str, Tensor]:
        """What the objective draws for every update of the critics, or for those of the actors, by name."""
        draws = {}
        for name, spec in self.learner.objective.draws.items():
            if spec.update == update:
                drawn = self._gather(self._draws[name], at, spec.rows)
                draws[name] = drawn if spec.rows else drawn[0]
        return draws

    def _gather(
        self, blocks: DrawBlocks, at: Positions, rows: Callable[[TrainConfig], int] | None = None
    ) -> Tensor:
        """[rows, P, ...], each member's at its own position; what is drawn for other lanes does not matter."""
        for lane, (member, position) in at.items():
            blocks.at(position, lane, member.config.seed, rows(member.config) if rows else 1)
        common = next(iter(at.values()))[1]
        return blocks.gather([at[lane][1] if lane in at else common for lane in range(self.capacity)])

    def mark_diverged(self, member: Member, what: str) -> Diverged:
        """Stop a member whose numbers are not finite, at the last copy in which they were."""
        self.learner.weights.recall(member.lane)
        member.phase = Phase.DIVERGED
        return Diverged(member.id, member.env_steps, what)

    def mark_broken(self, member: Member, error: Exception) -> Broken:
        """Stop a member of which an environment raised."""
        member.phase = Phase.BROKEN
        return Broken(member.id, member.env_steps, error)

    def close(self) -> None:
        """Free environments and threads."""
        self.collector.env.close()
        self.evaluation_env.close()
