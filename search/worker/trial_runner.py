"""TrialRunner: one leased trial that trains in a population of this worker, from claim to result."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna.trial import Trial

from omad_core.checkpoint.state import MemberState
from omad_core.config import TrainConfig
from omad_core.errors import CheckpointError, NotFinite, TaskError
from omad_core.events import Broken, Busy, Diverged, Evaluated, Event, Finished, MemberId, Progress, Warned
from omad_core.policy import Policy
from omad_core.population import Population
from search.checkpoints.store import LoadedCheckpoint
from search.history.evaluations import CurvePoint
from search.recording.checkpoint_transfer import CheckpointTransfer
from search.recording.curve_rows import SeedAggregator
from search.recording.trial_run import TrialRun
from search.slots import lease_writes, outcomes
from search.slots.keys import COST, UPDATES
from search.slots.lease import Lease
from search.slots.lease_keeper import HeldLease
from search.slots.score import Evaluations, curve, mean, score
from search.slots.trial_binding import trial_id
from search.view.wording import count
from search.worker import faults
from search.worker.context import WorkerContext
from tracking.row import Row
from tracking.spool.spool import Spool

log = logging.getLogger(__name__)

CHECKPOINT_SHARE = 0.02
"""Largest share of a trial's time that its checkpoints may cost."""
COST_METRIC = "time/processor_seconds"
"""In each row of a curve, and so in checkpoints: what a trial that goes on from one has cost up to there."""


class TrialRunner:
    """The seeds of one trial as members of a population, their curve and their checkpoints."""

    def __init__(
        self,
        context: WorkerContext,
        held_lease: HeldLease,
        trial: Trial,
        configs: Sequence[TrainConfig],
        spool: Spool,
        transfer: CheckpointTransfer,
        recording: TrialRun,
    ) -> None:
        self.held, self.trial, self.configs = held_lease, trial, tuple(configs)
        self.spool, self.recording = spool, recording
        self._context, self._spec, self._transfer = context, context.spec, transfer
        self._population: Population | None = None
        self._aggregator = SeedAggregator(len(configs))
        self._members: dict[MemberId, int] = {}
        self._evaluations: list[list[tuple[int, Sequence[float]]]] = [[] for _ in configs]
        self._finished: set[MemberId] = set()
        self._progress: dict[str, Any] = {}
        self._steps, self._cost = 0, 0.0
        self._next_checkpoint = time.monotonic() + context.spec.checkpoint_seconds
        self.diverged: str | None = None
        """Why the trial ends as diverged."""

    def begin(
        self, population: Population, loaded: LoadedCheckpoint | None, facts: Mapping[str, Any]
    ) -> None:
        """Admit the seeds, from a checkpoint where there is one. Raises ConfigError, CheckpointError."""
        states: Sequence[MemberState | None] = loaded.states if loaded else [None] * len(self.configs)
        if len(states) != len(self.configs):
            raise CheckpointError(
                f"the checkpoint holds {count(len(states), 'seed')}, the trial has {len(self.configs)}"
            )
        self._population = population
        for seed, (config, state) in enumerate(zip(self.configs, states, strict=True)):
            self._members[population.admit(config, state)] = seed
            for step, returns in state.records["evaluations"] if state is not None else []:
                self._keep_evaluation(seed, step, returns)
        if loaded is not None:
            self._recall()
        self.spool.replace(loaded.curve if loaded else b"")
        self._steps = loaded.ref.step if loaded else 0
        self._cost = _cost_so_far(self.spool)
        self._progress = {**facts, "step": self._steps, "env_steps": self.configs[0].env_steps}
        self._context.lease_keeper.note_progress(self.held, self._progress)
        for step, value in curve(self._evaluations):
            self._report(step, value)

    def _recall(self) -> None:
        """Store the evaluations of a checkpoint, if its writer could not; what each had cost is not known."""
        self._record(
            [
                self._row(seed, s, returns)
                for seed, each in enumerate(self._evaluations)
                for s, returns in each
            ]
        )

    @property
    def population(self) -> Population:
        """What it trains in; there is one once it has begun."""
        if self._population is None:
            raise RuntimeError("the trial has not begun")
        return self._population

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
        """The trial's score so far; None before its first evaluation, and where it is not finite."""
        value = score(self.evaluations, self._spec.score_evaluations)
        return value if value is not None and math.isfinite(value) else None

    @property
    def evaluations(self) -> list[Evaluations]:
        """Of each seed, all evaluations so far; those that are not finite are left out."""
        return [list(each) for each in self._evaluations]

    def charge(self, seconds: float) -> None:
        """Add to what training it has cost: processor seconds, on a GPU seconds of that."""
        self._cost += seconds
        self._progress[COST] = round(self._cost, 2)

    def handle_event(self, event: Event) -> None:
        """Take an event of one of the members. Raises NotFinite, and TaskError, for a member that cannot train on."""
        match event:
            case Progress():
                self._take_progress(event)
            case Evaluated():
                self._take_evaluation(event)
            case Finished():
                self._finished.add(event.member)
            case Diverged():
                self.diverged = (
                    f"{event.what} at step {event.env_steps:,} (seed {self._seed_of(event.member)})"
                )
            case Broken(error=NotFinite() as error):
                raise error
            case Broken(error=error):
                what = f"go on at step {event.env_steps:,}" if event.env_steps else "begin"
                raise TaskError(f"it cannot {what}: {faults.reason_of(error)}") from error
            case Warned():
                log.warning("trial %d at step %d: %s", self.trial.number, event.env_steps, event.message)
            case Busy():
                self._context.lease_keeper.extend(self.held, event.at_most_seconds)

    def _seed_of(self, member: MemberId) -> int:
        return self.configs[self._members[member]].seed

    def _take_progress(self, event: Progress) -> None:
        self._steps = event.env_steps
        self._progress |= {"step": event.env_steps, UPDATES: event.updates}
        for name in ("env_steps_per_second", "updates_per_second"):
            if f"time/{name}" in event.metrics:
                self._progress[name] = round(event.metrics[f"time/{name}"], 2)
        self._context.lease_keeper.note_progress(self.held, self._progress)
        if event.metrics:
            self._append(
                self._aggregator.add_metrics(self._members[event.member], event.env_steps, event.metrics)
            )

    def _take_evaluation(self, event: Evaluated) -> None:
        seed = self._members[event.member]
        if not self._keep_evaluation(seed, event.env_steps, event.returns):
            return
        self._record([self._row(seed, event.env_steps, event.returns, self._cost / len(self.configs))])
        row = self._aggregator.add_evaluation(seed, event.env_steps, event.returns, event.lengths)
        self._append(row)
        if row is not None:
            self._report(row.step, mean([v for s, v in curve(self._evaluations) if s == row.step]))

    def _keep_evaluation(self, seed: int, step: int, returns: Sequence[float]) -> bool:
        """Keep an evaluation for the score; one that is not finite ends the trial as diverged instead."""
        unusual = next((value for value in returns if not math.isfinite(value)), None)
        if unusual is not None:
            which = f"(seed {self.configs[seed].seed})"
            self.diverged = f"a return of its evaluation at step {step:,} was {unusual} {which}"
            return False
        self._evaluations[seed].append((step, returns))
        return True

    def _row(
        self, seed: int, step: int, returns: Sequence[float], seconds: float | None = None
    ) -> CurvePoint:
        return CurvePoint(trial_id(self.held.lease), self.configs[seed].seed, step, returns, seconds)

    def _record(self, measured: Sequence[CurvePoint]) -> None:
        """Store evaluations as rows, without waiting."""

        def write(lease: Lease) -> None:
            lease_writes.record_evaluations(self._context.store, lease, measured)

        self._context.lease_keeper.submit(self.held, write)

    def _append(self, row: Row | None) -> None:
        if row is not None:
            metrics = {**row.metrics, COST_METRIC: round(self._cost, 2), **self._context.watch.take()}
            self.spool.append([replace(row, metrics=metrics)])

    def _report(self, step: int, value: float) -> None:
        """Report a value to Optuna and ask whether to prune, without waiting; a sum that overflowed is not reported."""
        if not math.isfinite(value):
            return

        def write(lease: Any) -> None:
            outcomes.report(self._context.store, lease, self.trial, step, value)
            with self._context.store.guard():
                self.held.prune = self.held.prune or self.trial.should_prune()

        self._context.lease_keeper.submit(self.held, write)

    def show_progress(self) -> None:
        """Write the progress to the slot now, not with the next renewal."""
        progress, seconds = dict(self._progress), self._spec.lease_seconds
        self._context.lease_keeper.note_progress(self.held, progress)  # later renewals write the same

        def write(lease: Any) -> None:
            lease_writes.renew(self._context.store, lease, seconds, progress)

        self._context.lease_keeper.submit(self.held, write)

    def due_for_checkpoint(self) -> bool:
        """Whether it is time to write one; not while an evaluation is due or running.

        A checkpoint holds no running evaluation: its episodes would have to be played again after a resume.
        """
        due = time.monotonic() >= self._next_checkpoint
        return due and all(self.population.between_evaluations(member) for member in self.members)

    def checkpoint(self) -> None:
        """Write a checkpoint here; it is recorded, then uploaded. Raises CheckpointError, TrackingError."""
        begun = time.monotonic()
        stored = self._transfer.stored or [(0, 0)] * len(self._members)
        states = [self.population.snapshot(m, mark) for m, mark in zip(self.members, stored, strict=True)]
        with self.population.saving():
            self._transfer.write(states, self.spool.dump())
        cost = time.monotonic() - begun
        pause = max(self._spec.checkpoint_seconds, cost / CHECKPOINT_SHARE)
        self._next_checkpoint = time.monotonic() + pause

    def save_model(self, folder: Path) -> Path:
        """Write the policy of the seed with the best score."""
        best = best_seed(self.evaluations, self._spec.score_evaluations)
        policy = self.population.policy(self.members[best])
        save_model(policy, folder, self.configs[best], self.trial.number)
        return folder


def _cost_so_far(curve: Spool) -> float:
    """What a trial had cost by the end of this curve; 0 for one of a release that did not measure it."""
    return max((row.metrics.get(COST_METRIC, 0.0) for row in curve.rows()), default=0.0)


def best_seed(evaluations: Sequence[Evaluations], last: int) -> int:
    """The seed whose own score is the highest."""
    scores = [score([point], last) for point in evaluations]
    known = [(value, -seed) for seed, value in enumerate(scores) if value is not None]
    return -max(known)[1] if known else 0


def save_model(policy: Policy, folder: Path, config: TrainConfig, trial: int) -> None:
    """A policy folder that says which trial and seed it is of."""
    policy.save(
        folder,
        {"algorithm": config.algorithm, "trial": trial, "seed": config.seed, "env_steps": config.env_steps},
    )
