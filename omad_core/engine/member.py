"""Member: one seed of one trial in a population, and how far its training is."""

from dataclasses import dataclass, field
from enum import Enum
from math import floor
from typing import Any

from omad_core.checkpoint.state import MemberState
from omad_core.config import TrainConfig, update_rate
from omad_core.errors import CheckpointError
from omad_core.events import MemberId


class Phase(Enum):
    """What a member does next."""

    TRAINING = "training"
    EVALUATING = "evaluating"
    FINISHED = "finished"
    DIVERGED = "diverged"
    BROKEN = "broken"


@dataclass(eq=False)
class Member:
    """Counters of one member; all randomness follows from them and the seed."""

    id: MemberId
    lane: int
    config: TrainConfig
    vector_steps: int = 0
    evaluated_at: int = -1
    """Vector step of the last evaluation."""
    phase: Phase = Phase.TRAINING
    evaluations: list[tuple[int, list[float]]] = field(default_factory=list)
    """(environment steps, returns) of every evaluation so far."""
    warned: set[str] = field(default_factory=set)

    @property
    def env_steps(self) -> int:
        return self.vector_steps * self.config.num_envs

    @property
    def ticks(self) -> int:
        """Updates before the next vector step v, floor(v E u), those skipped in the random steps included."""
        return floor(self.vector_steps * update_rate(self.config))

    @property
    def updates(self) -> int:
        """Critic updates so far."""
        skipped = floor(self._vector_steps_before_learning * update_rate(self.config))
        return max(0, self.ticks - skipped)

    @property
    def exploring(self) -> bool:
        """Whether the next vector step is one of uniform actions."""
        return self.env_steps < self.config.random_steps

    @property
    def learning(self) -> bool:
        """Whether the vector step under way, the next to be counted, comes with updates."""
        return self.vector_steps >= self._vector_steps_before_learning

    @property
    def _vector_steps_before_learning(self) -> int:
        """Those with uniform actions, and enough for one target of n steps."""
        return max(self.config.random_steps // self.config.num_envs, self.config.n_step)

    @property
    def complete(self) -> bool:
        return self.env_steps >= self.config.env_steps

    def crossed(self, every: int) -> bool:
        """Whether the last vector step reached or passed a multiple of `every` environment steps."""
        return self.env_steps // every > (self.env_steps - self.config.num_envs) // every

    def due_for_evaluation(self) -> bool:
        """At every multiple of `every_steps` and at the end, once each."""
        if self.vector_steps in (0, self.evaluated_at):
            return False
        return self.complete or self.crossed(self.config.evaluation.every_steps)

    def counters(self) -> dict[str, int]:
        """What all random numbers of the training follow from."""
        return {"vector_steps": self.vector_steps, "evaluated_at": self.evaluated_at}

    def records(self) -> dict[str, Any]:
        """Evaluations, warnings given and phase, ready for JSON; a running evaluation is not part of it."""
        phase = Phase.TRAINING if self.phase is Phase.EVALUATING else self.phase
        return {
            "evaluations": [[at, list(returns)] for at, returns in self.evaluations],
            "warned": sorted(self.warned),
            "phase": phase.value,
        }

    def resume(self, state: MemberState) -> None:
        """Resume where `counters` and `records` were taken. Raises CheckpointError."""
        try:
            self.vector_steps = state.counters["vector_steps"]
            self.evaluated_at = state.counters["evaluated_at"]
            self.evaluations = [(at, list(returns)) for at, returns in state.records["evaluations"]]
            self.warned = set(state.records["warned"])
            self.phase = Phase(state.records["phase"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint's counters and records cannot be read: {error!r}"
            ) from error
