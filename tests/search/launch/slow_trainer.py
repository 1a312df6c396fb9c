"""A worker whose trainings hang or are slow: `python slow_trainer.py hang|busy FOLDER worker ...`."""

import sys
import time
from pathlib import Path

from cli.main import main
from omad_core.events import Busy, Event
from omad_core.population import Population

SLOW_SECONDS = 6.0

advance = Population.advance
steps = 0


def slow(population: Population) -> list[Event]:
    """The third step takes for ever, once; or so long as the second has announced."""
    global steps
    steps += 1
    mode, folder = sys.argv[1], Path(sys.argv[2])
    events = advance(population)
    if mode == "busy" and steps == 2:
        return [*events, Busy("compiling", 60.0)]
    if steps == 3 and not (folder / mode).exists():
        (folder / mode).touch()
        time.sleep(SLOW_SECONDS if mode == "busy" else 1e6)
        (folder / "returned").touch()
    return events


if __name__ == "__main__":
    Population.advance = slow  # type: ignore[method-assign]
    main(sys.argv[3:])
