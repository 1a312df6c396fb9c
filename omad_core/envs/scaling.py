"""From actions in [-1, 1] to the environment's own units."""

import numpy as np

from omad_core.envs.base import FloatArray
from omad_core.task import TaskSpec


class ActionScaling:
    """Scales joint actions [n, A, U] to the agents' boxes; padded dimensions come out as they went in."""

    def __init__(self, spec: TaskSpec) -> None:
        self._middle = np.zeros((spec.num_agents, spec.action_width))
        self._half = np.ones((spec.num_agents, spec.action_width))
        for agent, (low, high) in enumerate(zip(spec.action_low, spec.action_high, strict=True)):
            self._middle[agent, : len(low)] = (np.array(high) + np.array(low)) / 2
            self._half[agent, : len(low)] = (np.array(high) - np.array(low)) / 2
        self._same = not self._middle.any() and bool((self._half == 1).all())

    def __call__(self, actions: FloatArray) -> FloatArray:
        """Joint actions [n, A, U] in the environment's units; unchanged where every box is [-1, 1]."""
        return actions if self._same else self._middle + self._half * actions
