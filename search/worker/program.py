"""Program: the population at hand and the trials that train in it."""

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from omad_core.config import TrainConfig, structure
from omad_core.events import Busy, Event
from omad_core.population import Population
from search.records.keeping import Loaded
from search.slots.alive import identity
from search.worker.course import Course
from search.worker.desk import Desk
from search.worker.pulse import Pulse

HUNG_LEASES = 2.0
"""A step that takes so many leases, beside what it announced, does not come back."""


class Program:
    """Courses side by side in one population; another one where a trial of another structure comes."""

    def __init__(self, desk: Desk, pulse: Pulse) -> None:
        self._desk, self._pulse = desk, pulse
        self._announced = 0.0
        self._population: Population | None = None
        self._shape: Mapping[str, Any] = {}
        self.courses: list[Course] = []

    @property
    def population(self) -> Population:
        """What the courses train in; there is one while there are courses."""
        if self._population is None:
            raise RuntimeError("nothing is being trained")
        return self._population

    def takes(self, course: Course) -> bool:
        """Whether a course may begin beside those that are there."""
        return not self.courses or structure(course.configs[0]) == self._shape

    def begin(self, course: Course, loaded: Loaded | None) -> None:
        """Let a course train from here. Raises ConfigError, CheckpointError."""
        with self._pulse.within(self._longest):
            population = self._population_for(course.configs[0])
            facts = {"device": self._desk.place.device, "host": socket.gethostname(), **identity()}
            self.courses.append(course)
            known = facts | {"token": course.hold.lease.token, "trial": course.trial.number}
            course.begin(population, loaded, known)

    def advance(self) -> Sequence[Event]:
        """Train a little. Raises whatever a training may raise; from a hung one this process is ended."""
        with self._pulse.within(self._longest):
            events = self.population.advance()
        self._announced = max((e.at_most_seconds for e in events if isinstance(e, Busy)), default=0.0)
        return events

    @property
    def _longest(self) -> float:
        return HUNG_LEASES * self._desk.spec.lease_seconds + self._announced

    def keep(self) -> None:
        """Keep the leases of all courses for a little longer: this worker lives and waits."""
        for course in self.courses:
            self._desk.rooms.ledger.tell(course.hold)

    def evict(self, course: Course) -> None:
        """Free the places of a course."""
        if course in self.courses:
            self.courses.remove(course)
            for member in course.members:
                if self._population is not None:
                    self._population.evict(member)

    def drop(self, course: Course) -> None:
        """The slot is no longer ours: forget it here; its successor has what was recorded."""
        self._desk.rooms.ledger.drop(course.hold)
        self.evict(course)

    def close(self) -> None:
        """End the population, whatever is in it."""
        if self._population is not None:
            self._population.close()
            self._population = None

    def _population_for(self, config: TrainConfig) -> Population:
        """The running program where the trial fits into it, else a new one."""
        shape = structure(config)
        if self._population is None or shape != self._shape:
            self.close()
            spec, place = self._desk.spec, self._desk.place
            widest = int(spec.space.largest("critic.quantiles", config))
            self._population = Population(config, place.pack * spec.seeds, place.device, widest)
            self._shape = shape
        return self._population
