"""Which objectives there are, and which of them a training has."""

from omad_core.algorithm.objectives.hasac import Hasac
from omad_core.algorithm.objectives.madpmd import Madpmd
from omad_core.algorithm.objectives.objective import Objective
from omad_core.algorithm.objectives.omad import Omad
from omad_core.config import TrainConfig

OBJECTIVES: dict[str, Objective] = {
    "omad": Omad(),
    "gaussian": Omad(),
    "hasac": Hasac(),
    "madpmd": Madpmd(),
}
"""By the names of `omad_core.algorithms`."""


def objective_of(config: TrainConfig) -> Objective:
    """The objective of a training; members of one population share it."""
    return OBJECTIVES[config.algorithm]
