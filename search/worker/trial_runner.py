"""Course: one leased trial on its way through this worker's population, from claim to result."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.trial import Trial

from omad_core.config import TrainConfig
from omad_core.errors import CheckpointError, TaskError
from omad_core.events import Broken, Busy, Diverged, Evaluated, Event, Finished, MemberId, Progress, Warned
from omad_core.policy import Policy
from omad_core.population import Population
from omad_core.state import MemberState
from search.records.keeping import Keeper, Loaded
from search.records.recording import Recording, Rooms
from search.records.rows import Gathering
from search.slots import endings, slots
from search.slots.ledger import Hold
from search.slots.score import Evaluations, curve, mean, score
from search.spec.spec import StudySpec
from tracking.point import Row
from tracking.spool import Spool

log = logging.getLogger(__name__)

CHECKPOINT_SHARE = 0.02
"""Largest share of a trial's time that its checkpoints may cost."""


class Course:
    """The seeds of one trial as members of a population, their curve and their checkpoints."""

    def __init__(
        self,
        rooms: Rooms,
        spec: StudySpec,
        hold: Hold,
        trial: Trial,
        configs: Sequence[TrainConfig],
        spool: Spool,
        keeper: Keeper,
        recording: Recording,
    ) -> None:
        self.hold, self.trial, self.configs = hold, trial, tuple(configs)
        self.spool, self.recording = spool, recording
        self._rooms, self._spec, self._keeper = rooms, spec, keeper
        self._gathering = Gathering(len(configs))
        self._members: dict[MemberId, int] = {}
        self._evaluations: list[list[tuple[int, Sequence[float]]]] = [[] for _ in configs]
        self._finished: set[MemberId] = set()
        self._progress: dict[str, Any] = {}
        self._steps = 0
        self._next_checkpoint = time.monotonic() + spec.checkpoint_seconds
        self.diverged: str | None = None

    def begin(self, population: Population, loaded: Loaded | None, facts: Mapping[str, Any]) -> None:
        """Admit the seeds, from a checkpoint where there is one. Raises ConfigError, CheckpointError."""
        states: Sequence[MemberState | None] = loaded.states if loaded else [None] * len(self.configs)
        if len(states) != len(self.configs):
            raise CheckpointError(
                f"the checkpoint holds {len(states)} seeds, the trial has {len(self.configs)}"
            )
        for seed, (config, state) in enumerate(zip(self.configs, states, strict=True)):
            self._members[population.admit(config, state)] = seed
            if state is not None:
                self._evaluations[seed] = [(at, returns) for at, returns in state.records["evaluations"]]
        self.spool.replace(loaded.curve if loaded else b"")
        self._steps = loaded.ref.step if loaded else 0
        self._progress = {**facts, "step": self._steps, "env_steps": self.configs[0].env_steps}
        self._rooms.ledger.tell(self.hold, self._progress)
        for step, value in curve(self._evaluations):
            self._report(step, value)

    @property
    def members(self) -> list[MemberId]:
        """The seeds' members, in order."""
        return list(self._members)

    @property
    def finished(self) -> bool:
        """Whether all seeds reached their end."""
        return len(self._finished) == len(self._members)

    @property
    def steps(self) -> int:
        """Environment steps done."""
        return self._steps

    def score(self) -> float | None:
        """The trial's score as things stand."""
        return score(self.evaluations, self._spec.score_evaluations)

    @property
    def evaluations(self) -> list[Evaluations]:
        """Of each seed, all evaluations so far."""
        return [list(each) for each in self._evaluations]

    def hear(self, event: Event) -> None:
        """What the population says of one of the members. Raises TaskError where one cannot go on."""
        match event:
            case Progress():
                self._trained(event)
            case Evaluated():
                self._evaluated(event)
            case Finished():
                self._finished.add(event.member)
            case Diverged():
                self.diverged = (
                    f"{event.what} at step {event.env_steps:,} (seed {self._seed_of(event.member)})"
                )
            case Broken(error=error):
                what = f"go on at step {event.env_steps:,}" if event.env_steps else "begin"
                raise TaskError(f"it cannot {what}: {type(error).__name__}: {error}") from error
            case Warned():
                log.warning("trial %d at step %d: %s", self.trial.number, event.env_steps, event.message)
            case Busy():
                self._rooms.ledger.busy(self.hold, event.at_most_seconds)

    def _seed_of(self, member: MemberId) -> int:
        return self.configs[self._members[member]].seed

    def _trained(self, event: Progress) -> None:
        self._steps = event.env_steps
        self._progress["step"] = event.env_steps
        for name in ("env_steps_per_second", "updates_per_second"):
            if f"time/{name}" in event.metrics:
                self._progress[name] = round(event.metrics[f"time/{name}"], 2)
        self._rooms.ledger.tell(self.hold, self._progress)
        if event.metrics:
            self._append(self._gathering.trained(self._members[event.member], event.env_steps, event.metrics))

    def _evaluated(self, event: Evaluated) -> None:
        seed = self._members[event.member]
        self._evaluations[seed].append((event.env_steps, event.returns))
        row = self._gathering.evaluated(seed, event.env_steps, event.returns, event.lengths)
        self._append(row)
        if row is not None:
            self._report(row.step, mean([v for s, v in curve(self._evaluations) if s == row.step]))

    def _append(self, row: Row | None) -> None:
        if row is not None:
            metrics = {**row.metrics, **self._rooms.watch.take()}
            self.spool.append([replace(row, metrics=metrics)])

    def _report(self, step: int, value: float) -> None:
        """Have the value reported and hear whether to prune, without waiting."""

        def write(lease: Any) -> None:
            endings.report(self._rooms.store, lease, self.trial, step, value)
            with self._rooms.store.guard():
                self.hold.prune = self.hold.prune or self.trial.should_prune()

        self._rooms.ledger.submit(self.hold, write)

    def show_progress(self) -> None:
        """Have the slot show where the trial stands now, whenever the next renewal would be."""
        progress, seconds = dict(self._progress), self._spec.lease_seconds

        def write(lease: Any) -> None:
            slots.renew(self._rooms.store, lease, seconds, progress)

        self._rooms.ledger.submit(self.hold, write)

    def due_for_checkpoint(self, population: Population) -> bool:
        """Whether it is time to write one; not while an evaluation is due or running.

        That would be no part of it: whoever goes on from there would have to play its episodes again.
        """
        due = time.monotonic() >= self._next_checkpoint
        return due and all(population.between_evaluations(member) for member in self.members)

    def checkpoint(self, population: Population) -> None:
        """Write a checkpoint here; have it recorded, then sent. Raises CheckpointError, TrackingError."""
        begun = time.monotonic()
        stored = self._keeper.stored or [(0, 0)] * len(self._members)
        states = [population.snapshot(m, mark) for m, mark in zip(self.members, stored, strict=True)]
        with population.saving():
            curve = self.spool.dump()
            ref = self._keeper.write(states, curve)

        def record(lease: Any) -> Any:
            recorded = slots.record_checkpoint(self._rooms.store, lease, ref)
            self._keeper.recorded(ref, recorded)
            self.recording.checkpointed(ref, curve.count(b"\n"))
            return recorded

        self._rooms.ledger.submit(self.hold, record)
        cost = time.monotonic() - begun
        pause = max(self._spec.checkpoint_seconds, cost / CHECKPOINT_SHARE)
        self._next_checkpoint = time.monotonic() + pause

    def save_model(self, population: Population, folder: Path) -> Path:
        """Keep the policy of the seed with the best score."""
        best = best_seed(self.evaluations, self._spec.score_evaluations)
        policy = population.policy(self.members[best])
        save_model(policy, folder, self.configs[best], self.trial.number)
        return folder


def best_seed(evaluations: Sequence[Evaluations], last: int) -> int:
    """The seed whose own score is the highest."""
    scores = [score([each], last) for each in evaluations]
    known = [(value, -seed) for seed, value in enumerate(scores) if value is not None]
    return -max(known)[1] if known else 0


def save_model(policy: Policy, folder: Path, config: TrainConfig, trial: int) -> None:
    """A policy folder that says which trial and seed it is of."""
    policy.save(folder, {"trial": trial, "seed": config.seed, "env_steps": config.env_steps})
