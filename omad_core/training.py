"""train: one training of one seed, without a study."""

from collections.abc import Iterator

from omad_core.config import TrainConfig
from omad_core.events import Broken, Diverged, Event, Finished
from omad_core.policy import Policy
from omad_core.population import Population


def train(config: TrainConfig, device: str = "cpu") -> Iterator[Event | Policy]:
    """Events of one training as they happen, and last its policy.

    Raises ConfigError, TaskError, and whatever an environment of one's own raises.
    """
    population = Population(config, device=device)
    try:
        member = population.admit(config)
        ended = False
        while not ended:
            for event in population.advance():
                if isinstance(event, Broken):
                    raise event.error
                yield event
                ended = ended or isinstance(event, Finished | Diverged)
        yield population.policy(member)
    finally:
        population.close()
