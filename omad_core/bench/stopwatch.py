"""Stopwatch: times things that are to be compared in turns, so that a noisy machine is noisy for all of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

Action = Callable[[], int]
"""Does some work and says how many pieces it was."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one piece of work."""

    cpu: float
    """Processor time of this process, its threads together: what others do on the machine is not in it."""
    wall: float

    @property
    def per_second(self) -> float:
        """Pieces a second of processor time, on one core."""
        return 1.0 / self.cpu


def in_turns(actions: Mapping[str, Action], seconds: float, least_rounds: int = 3) -> dict[str, Timing]:
    """Medians over rounds, in each of which every action is done once, for about `seconds` in all.

    One round before them is not counted.
    """
    for action in actions.values():
        action()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in actions}
    end, rounds = time.monotonic() + seconds, 0
    while rounds < least_rounds or time.monotonic() < end:
        for name, action in actions.items():
            taken[name].append(_once(action))
        rounds += 1
    return {
        name: Timing(median(cpu for cpu, _ in times), median(wall for _, wall in times))
        for name, times in taken.items()
    }


def _once(action: Action) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    pieces = action()
    return (time.process_time() - cpu) / pieces, (time.perf_counter() - wall) / pieces
