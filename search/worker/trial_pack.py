"""TrialPack: the trials of one worker; those of equal structure share a population, populations train in turn."""

import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omad_core.config import TrainConfig, structure
from omad_core.events import Busy, Event
from omad_core.population import Population
from search.checkpoints.store import LoadedCheckpoint
from search.slots.liveness import identity
from search.worker.context import WorkerContext
from search.worker.trial_runner import TrialRunner

HUNG_LEASES = 2.0
"""A slice of training that takes so many leases, beside what it announced, does not return."""
MOST_POPULATIONS = 2
"""Populations alive at once: each holds its own weights, replay and environments."""


@dataclass(eq=False)
class TrialGroup:
    """Trials of one structure and the population they train in."""

    structure: Mapping[str, Any]
    population: Population
    runners: list[TrialRunner] = field(default_factory=list)
    announced_seconds: float = 0.0
    """How long the next slice may be silent, as the population announced."""


class TrialPack:
    """The trials that one worker has claimed: those that train, and those that wait for a population."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._groups: list[TrialGroup] = []
        self.waiting: list[TrialRunner] = []
        """Trials of further structures, oldest first."""

    def __len__(self) -> int:
        return len(self.runners) + len(self.waiting)

    @property
    def runners(self) -> list[TrialRunner]:
        """The trials that train."""
        return [runner for group in self._groups for runner in group.runners]

    def takes(self, runner: TrialRunner) -> bool:
        """Whether a trial can train now: its structure has a population, or another one may be opened."""
        shape = structure(runner.configs[0])
        occupied = [group.structure for group in self._groups if group.runners]
        return shape in occupied or len(occupied) < MOST_POPULATIONS

    def begin(self, runner: TrialRunner, loaded: LoadedCheckpoint | None) -> None:
        """Let a trial train from here. Raises ConfigError, CheckpointError, and whatever an environment raises."""
        with self._context.watchdog.within(self._longest()):
            group = self._group_for(runner.configs[0])
            group.runners.append(runner)
            facts = {"device": self._context.location.device, "host": socket.gethostname(), **identity()}
            facts |= {"token": runner.held.lease.token, "trial": runner.trial.number}
            runner.begin(group.population, loaded, facts)

    def next_group(self) -> TrialGroup:
        """The group whose turn it is; there is one while trials train."""
        group = next(group for group in self._groups if group.runners)
        self._groups.remove(group)
        self._groups.append(group)
        return group

    def advance(self, group: TrialGroup) -> Sequence[Event]:
        """Train a group for one slice. Raises whatever a training may raise; a hung one is killed with its worker."""
        began = self._clock()
        with self._context.watchdog.within(self._longest(group.announced_seconds)):
            events = group.population.advance()
        took = self._clock() - began
        for runner in group.runners:
            runner.charge(took / len(group.runners))
        group.announced_seconds = max((e.at_most_seconds for e in events if isinstance(e, Busy)), default=0.0)
        for runner in self._others(group):
            if group.announced_seconds:
                self._context.lease_keeper.extend(runner.held, group.announced_seconds)
            else:
                self._context.lease_keeper.note_progress(runner.held)
        return events

    def _clock(self) -> float:
        """Processor seconds of this process; where a GPU trains, seconds, since the worker has that to itself."""
        on_gpu = self._context.location.device.startswith("cuda")
        return time.monotonic() if on_gpu else time.process_time()

    def _longest(self, announced_seconds: float = 0.0) -> float:
        return HUNG_LEASES * self._context.spec.lease_seconds + announced_seconds

    def _others(self, group: TrialGroup) -> Iterator[TrialRunner]:
        """Trials that wait while this group has its turn: their leases are kept as long as the worker advances."""
        yield from self.waiting
        yield from (runner for runner in self.runners if runner not in group.runners)

    def keep(self) -> None:
        """Renew the leases of all trials while this worker waits for something else."""
        for runner in [*self.runners, *self.waiting]:
            self._context.lease_keeper.note_progress(runner.held)

    def evict(self, runner: TrialRunner) -> None:
        """Free the lanes of a trial."""
        if runner in self.waiting:
            self.waiting.remove(runner)
        for group in list(self._groups):
            if runner in group.runners:
                group.runners.remove(runner)
                for member in runner.members:
                    group.population.evict(member)
        # The only population stays for the next trial, which mostly has its structure.
        if len(self._groups) > 1:
            self._close_empty()

    def drop(self, runner: TrialRunner) -> None:
        """Forget a trial whose slot this worker no longer holds; its successor has what was recorded."""
        self._context.lease_keeper.drop(runner.held)
        self.evict(runner)

    def close_group(self, group: TrialGroup) -> None:
        """Close a population that cannot be used any more."""
        if group in self._groups:
            self._groups.remove(group)
            group.population.close()

    def close(self) -> None:
        """Close all populations."""
        for group in list(self._groups):
            self.close_group(group)

    def _close_empty(self) -> None:
        for group in [group for group in self._groups if not group.runners]:
            self.close_group(group)

    def _group_for(self, config: TrainConfig) -> TrialGroup:
        """The group of a trial's structure, with a new population where there is none."""
        shape = structure(config)
        for group in self._groups:
            if group.structure == shape:
                return group
        self._close_empty()
        spec, location = self._context.spec, self._context.location
        widest = int(spec.space.largest("critic.quantiles", config))
        population = Population(config, location.pack * spec.seeds, location.device, widest)
        self._groups.append(TrialGroup(shape, population))
        return self._groups[-1]
