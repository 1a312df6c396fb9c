"""Population: the engine. Members trained side by side as one batched program."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from omad_core.collector import Collector, Episodes, to_actions
from omad_core.config import TrainConfig, structure
from omad_core.envs import make_env
from omad_core.errors import CheckpointError, ConfigError
from omad_core.evaluation import Evaluation, Subject
from omad_core.events import Diverged, Evaluated, Event, Finished, MemberId, Progress, Warned
from omad_core.learner import Learner
from omad_core.member import Member, Phase
from omad_core.noise import IndexBlocks, NoiseBlocks
from omad_core.policy import Policy
from omad_core.replay import Replay
from omad_core.state import MemberState
from omad_core.streams import Stream
from omad_core.timing import Clock

NOISE_BLOCK = 32
EDGE_MASS_LIMIT = 0.01
EVERYTHING = (2**62, 2**62)
"""All replay rows are stored already: a snapshot without replay."""


class Population:
    """Up to `capacity` members trained side by side as one program.

    Members must agree on the structure of `config` (see `omad_core.config.structure`) and may differ in all
    else; the number of quantiles is padded to `max_quantiles` (default: that of `config`), chains to the longest.
    """

    def __init__(
        self,
        config: TrainConfig,
        capacity: int = 1,
        device: str = "cpu",
        max_quantiles: int | None = None,
        env_threads: int = 1,
        slice_seconds: float = 0.3,
    ) -> None:
        self._config, self._capacity, self._device = config, capacity, torch.device(device)
        self._slice_seconds = slice_seconds
        self._max_quantiles = max_quantiles or config.critic.quantiles
        envs = config.num_envs
        env = make_env(config.task, config.env, capacity * envs, env_threads)
        self.spec = spec = env.spec
        self._learner = Learner(spec, config, capacity, self._device, self._max_quantiles)
        self._replay = Replay(spec, capacity, envs, config.replay_size, config.n_step, self._device)
        self._collector = Collector(env, self._replay, capacity, envs)
        agents, width, batch = spec.num_agents, spec.action_width, config.batch_size
        episodes = config.evaluation.episodes
        self._indices = IndexBlocks(NOISE_BLOCK, capacity, batch, self._device)
        self._noise = {
            stream: NoiseBlocks(stream, NOISE_BLOCK, capacity, (agents, n, width), self._device)
            for stream, n in (
                (Stream.ACT, envs),
                (Stream.TARGET, batch),
                (Stream.ACTOR, batch),
                (Stream.EVALUATE, episodes),
            )
        }
        self._evaluation_env = make_env(config.task, config.env, capacity * episodes, env_threads)
        self._evaluation: tuple[Evaluation, list[Member]] | None = None
        self._members: dict[MemberId, Member] = {}
        self._waiting: list[tuple[Member, MemberState | None]] = []
        self._next_id = 0
        self._tick = 0
        self._clock = Clock()

    def admit(self, config: TrainConfig, state: MemberState | None = None) -> MemberId:
        """Start (or continue, from `state`) a member in a free place. Raises ConfigError, CheckpointError.

        It begins with the first vector step at which its actor updates fall together with its neighbours'.
        """
        self._check_fits(config)
        if state is not None and state.config != config:
            raise CheckpointError("the checkpoint belongs to a training with other settings")
        taken = {m.place for m in self._members.values()}
        free = [place for place in range(self._capacity) if place not in taken]
        if not free:
            raise ConfigError(
                f"all {self._capacity} places of this population are taken; evict a member first"
            )
        member = Member(self._next_id, free[0], config)
        if state is not None:
            _restore_counters(member, state)
        self._next_id += 1
        self._members[member.id] = member
        self._waiting.append((member, state))
        return member.id

    def _check_fits(self, config: TrainConfig) -> None:
        mine, theirs = structure(self._config), structure(config)
        differing = [path for path in mine if mine[path] != theirs[path]]
        if differing:
            said = ", ".join(f"{path} = {theirs[path]!r} (here {mine[path]!r})" for path in differing)
            raise ConfigError(f"members of one population must agree on its structure; this one has {said}")
        if config.critic.quantiles > self._max_quantiles:
            raise ConfigError(
                f"critic.quantiles = {config.critic.quantiles} is more than this population's {self._max_quantiles}"
            )

    def advance(self) -> list[Event]:
        """Train (or evaluate) for about `slice_seconds`, one step at least, and say what happened."""
        torch.set_float32_matmul_precision(self._config.matmul_precision)
        events: list[Event] = []
        deadline = time.monotonic() + self._slice_seconds
        going = True
        while going:
            events += self._seat_waiting()
            made = self._work(deadline)
            going = made is not None and time.monotonic() < deadline
            events += made or []
        return events + self._mind_divergence() + self._progress()

    def _work(self, deadline: float) -> list[Event] | None:
        """One step of what is to be done: evaluate, or train; None where there is nothing."""
        if self._evaluation is None and (lost := self._begin_evaluation()):
            return lost
        if self._evaluation is not None:
            return self._evaluate(deadline)
        training = self._in_phase(Phase.TRAINING)
        return self._train(training) if training else None

    def _progress(self) -> list[Event]:
        going = self._in_phase(Phase.TRAINING) + self._in_phase(Phase.EVALUATING)
        return [Progress(m.id, m.env_steps, m.updates, {}) for m in going]

    def _seated(self) -> list[Member]:
        waiting = {id(m) for m, _ in self._waiting}
        return [m for m in self._members.values() if id(m) not in waiting]

    def _in_phase(self, phase: Phase) -> list[Member]:
        return sorted((m for m in self._seated() if m.phase is phase), key=lambda m: m.place)

    def _seat_waiting(self) -> list[Event]:
        """Let members begin whose time has come; those that had ended say so again."""
        ended: list[Event] = []
        for member, state in list(self._waiting):
            delay = member.config.policy_delay
            if not self._in_phase(Phase.TRAINING) + self._in_phase(Phase.EVALUATING):
                self._tick = member.ticks
            if (self._tick - member.ticks) % delay == 0:
                self._waiting = [(m, s) for m, s in self._waiting if m is not member]
                self._seat(member, state)
                if member.phase is Phase.FINISHED:
                    ended.append(Finished(member.id, member.env_steps))
                elif member.phase is Phase.DIVERGED:
                    ended.append(
                        Diverged(member.id, member.env_steps, "it had diverged before its checkpoint")
                    )
        return ended

    def _seat(self, member: Member, state: MemberState | None) -> None:
        place, config = member.place, member.config
        self._indices.forget(place)
        if state is None:
            self._learner.start(place, config)
            self._collector.start(place, config)
        else:
            self._learner.load(place, config, state.arrays)
            self._replay.load(place, state.replay)
            episodes = Episodes(**state.records["episodes"])
            self._collector.load(place, config, state.arrays, episodes)
        self._refresh()
        for noise in self._noise.values():
            noise.forget(place)
        self._learner.remember()

    def _refresh(self) -> None:
        """The members present have changed, and with them perhaps the longest chain."""
        self._learner.set_present([m.config for m in self._seated()])
        for noise in self._noise.values():
            noise.resize(self._learner.chain_noises)

    def _train(self, members: Sequence[Member]) -> list[Event]:
        """One vector step of every training member and the updates that follow it."""
        actions = self._act(members)
        places = [m.place for m in members]
        bad = [m for m in members if not np.isfinite(actions[m.place]).all()]
        if bad:
            return [self._diverge(m, "its actions are not finite") for m in bad]
        with self._clock.measure("environment"):
            self._collector.step(places, [m.config for m in members], actions[places])
        for member in members:
            member.vector_steps += 1
        with self._clock.measure("learning"):
            for update in range(self._config.num_envs * self._config.updates_per_step):
                self._update(members, update)
        self._tick += self._config.num_envs * self._config.updates_per_step
        return [event for m in members for event in self._log(m)]

    def _act(self, members: Sequence[Member]) -> NDArray[np.float32]:
        """Actions [P, E, A, U]; zeros where nobody trains."""
        spec = self.spec
        shape = (self._capacity, self._config.num_envs, spec.num_agents, spec.action_width)
        if all(m.exploring for m in members):
            actions = np.zeros(shape, np.float32)
        else:
            with self._clock.measure("acting"):
                noise = self._noise_of(Stream.ACT, {m.place: (m, m.vector_steps) for m in members})
                obs = torch.from_numpy(self._collector.obs).transpose(1, 2).to(self._device)
                actions = to_actions(self._learner.act(obs, noise)).copy()
        for member in members:
            if member.exploring:
                drawn = self._collector.random_actions(member.place, member.vector_steps, member.config.seed)
                actions[member.place] = drawn
        return actions

    def _noise_of(self, stream: Stream, wanted: dict[int, tuple[Member, int]]) -> torch.Tensor:
        """Noise [1 + K, P, A, N, U], each member's at its own position."""
        noise = self._noise[stream]
        common = next(iter(wanted.values()))[1]
        positions = [wanted[place][1] if place in wanted else common for place in range(self._capacity)]
        for place, (member, position) in wanted.items():
            noise.at(position, place, member.config.seed, self._learner.noises_of(member.config))
        return noise.gather(positions)

    def _update(self, members: Sequence[Member], update: int) -> None:
        """One critic update of all learning members, and every `policy_delay`-th time one of the actors."""
        learners = [m for m in members if m.learning]
        if not learners:
            return
        per_step = self._config.num_envs * self._config.updates_per_step
        ticks = {m.place: (m, m.ticks - per_step + update) for m in learners}
        learning = self._mask([m.place for m in learners])
        for place, (member, tick) in ticks.items():
            self._indices.at(tick, place, member.config.seed)
        common = next(iter(ticks.values()))[1]
        positions = [ticks[p][1] if p in ticks else common for p in range(self._capacity)]
        batch = self._replay.sample(self._indices.gather(positions), self._learner.scalars["gamma"])
        delay = self._config.policy_delay
        actors_too = (self._tick + update) % delay == 0
        self._learner.update_critic(batch, self._noise_of(Stream.TARGET, ticks), learning, actors_too)
        if actors_too:
            later = {place: (m, tick // delay) for place, (m, tick) in ticks.items()}
            self._learner.update_actor(batch, self._noise_of(Stream.ACTOR, later), learning)

    def _mask(self, places: Sequence[int]) -> torch.Tensor | None:
        if len(places) == self._capacity:
            return None
        mask = torch.zeros(self._capacity, dtype=torch.bool)
        mask[list(places)] = True
        return mask.to(self._device)

    def _log(self, member: Member) -> list[Event]:
        if not member.crossed(member.config.log_every_steps):
            return []
        metrics = self._collector.episodes[member.place].read()
        metrics |= self._learner.measures.read(member.place)
        metrics |= self._clock.rates(member.id, member.env_steps, member.updates)
        events: list[Event] = [Progress(member.id, member.env_steps, member.updates, metrics)]
        if metrics.get("train/edge_mass", 0.0) > EDGE_MASS_LIMIT and "edge_mass" not in member.warned:
            member.warned.add("edge_mass")
            text = (
                f"{metrics['train/edge_mass']:.1%} of the predicted returns lie on the edge atoms: "
                f"critic.v_max = {member.config.critic.v_max:g} is too small; raise it"
            )
            events.append(Warned(member.id, member.env_steps, text))
        return events

    def _begin_evaluation(self) -> list[Event]:
        """Start evaluating whoever is due; weights that are not finite are no policy to evaluate."""
        due = [m for m in self._in_phase(Phase.TRAINING) if m.due_for_evaluation()]
        if not due:
            return []
        finite = self._learner.finite()
        lost: list[Event] = [
            self._diverge(m, "its weights are not finite") for m in due if not finite[m.place]
        ]
        due = [m for m in due if finite[m.place]]
        for member in due:
            member.phase = Phase.EVALUATING
        subjects = [Subject(m.place, m.config, m.vector_steps) for m in due]
        noise = self._noise[Stream.EVALUATE]
        if due:
            self._evaluation = (Evaluation(self._evaluation_env, self._learner, noise, subjects), due)
        return lost

    def _evaluate(self, deadline: float) -> list[Event]:
        """Some steps of the running evaluation; its results when it is done."""
        evaluation, members = self._evaluation or (None, [])
        if evaluation is None:
            return []
        with self._clock.measure("evaluating"):
            going = True
            while going:
                evaluation.step()
                going = not evaluation.done and time.monotonic() < deadline
        if not evaluation.done:
            return []
        self._evaluation = None
        return [event for member in members for event in self._conclude(evaluation, member)]

    def _conclude(self, evaluation: Evaluation, member: Member) -> list[Event]:
        subject = Subject(member.place, member.config, member.vector_steps)
        returns, lengths = evaluation.result(subject)
        member.evaluated_at = member.vector_steps
        member.evaluations.append((member.env_steps, list(returns)))
        member.phase = Phase.FINISHED if member.complete else Phase.TRAINING
        events: list[Event] = [Evaluated(member.id, member.env_steps, returns, lengths)]
        if member.phase is Phase.FINISHED:
            events.append(Finished(member.id, member.env_steps))
        return events

    def _mind_divergence(self) -> list[Event]:
        if self._evaluation is not None:
            return []
        finite = self._learner.finite()
        training = self._in_phase(Phase.TRAINING)
        events: list[Event] = [
            self._diverge(m, "its weights are not finite") for m in training if not finite[m.place]
        ]
        self._learner.remember()
        return events

    def _diverge(self, member: Member, what: str) -> Diverged:
        self._learner.recall(member.place)
        member.phase = Phase.DIVERGED
        return Diverged(member.id, member.env_steps, what)

    def snapshot(self, member: MemberId, stored: tuple[int, int] = (0, 0)) -> MemberState:
        """Complete state of a member, between two advances.

        stored: (replay.stop, replay.finals_stop) of an earlier snapshot, whose replay rows are left out of this one.
        """
        found = self._find(member)
        for waiting, state in self._waiting:
            if waiting is found and state is not None:
                return state
        if any(waiting is found for waiting, _ in self._waiting):
            raise ConfigError("this member has not begun; advance the population before taking its snapshot")
        with self._clock.measure("saving"):
            return self._state_of(found, stored)

    def _state_of(self, found: Member, stored: tuple[int, int]) -> MemberState:
        records: dict[str, Any] = {
            "episodes": vars(self._collector.episodes[found.place]).copy(),
            "evaluations": [[at, list(returns)] for at, returns in found.evaluations],
            "warned": sorted(found.warned),
            "phase": "training" if found.phase is Phase.EVALUATING else found.phase.value,
        }
        quantiles = found.config.critic.quantiles
        return MemberState(
            config=found.config,
            counters={"vector_steps": found.vector_steps, "evaluated_at": found.evaluated_at},
            arrays=self._learner.row(found.place, quantiles) | self._collector.row(found.place),
            records=records,
            replay=self._replay.rows(found.place, stored),
        )

    def between_evaluations(self, member: MemberId) -> bool:
        """Whether all evaluations up to the member's step have been told: none is running, none is due."""
        found = self._find(member)
        return found.phase is not Phase.EVALUATING and not found.due_for_evaluation()

    def policy(self, member: MemberId) -> Policy:
        """The member's current policy, to keep: a copy."""
        return Policy.of_member(self.spec, self.snapshot(member, stored=EVERYTHING))

    def evict(self, member: MemberId) -> None:
        """Drop a member; its place is free for the next admit, at once."""
        found = self._find(member)
        del self._members[member]
        self._waiting = [(m, s) for m, s in self._waiting if m is not found]
        if self._evaluation is not None and found in self._evaluation[1]:
            evaluation, members = self._evaluation
            evaluation.drop(found.place)
            left = [m for m in members if m is not found]
            self._evaluation = (evaluation, left) if left else None

    def _find(self, member: MemberId) -> Member:
        if member not in self._members:
            raise ConfigError(f"no member {member} in this population; it was evicted or never admitted")
        return self._members[member]

    def close(self) -> None:
        """Free environments and threads."""
        self._collector.env.close()
        self._evaluation_env.close()


def _restore_counters(member: Member, state: MemberState) -> None:
    member.vector_steps = state.counters["vector_steps"]
    member.evaluated_at = state.counters["evaluated_at"]
    member.evaluations = [(at, list(returns)) for at, returns in state.records["evaluations"]]
    member.warned = set(state.records["warned"])
    member.phase = Phase(state.records["phase"])
