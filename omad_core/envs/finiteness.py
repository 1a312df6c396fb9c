"""Whether numbers can be trained with, at the cost of one product of vectors."""

import numpy as np
from numpy.typing import NDArray

from omad_core.envs.base import FloatArray, Step, StepRaised
from omad_core.errors import EnvironmentFailed, NotFinite

LARGEST = float(np.finfo(np.float32).max)
_SQUARES = LARGEST**2


def trainable(values: FloatArray) -> bool:
    """False if any of [n] numbers is nan, infinite or beyond float32, and perhaps where many are near that."""
    # One call where `isfinite` and `all` take four times as long; `values.dot` would warn of an overflow.
    return bool(np.vdot(values, values) < _SQUARES)


def check_reward(task: str, rows: NDArray[np.int64], elapsed: NDArray[np.int64], answer: Step) -> None:
    """Raise StepRaised for environments `rows` [n] whose reward, in step `elapsed` [n], cannot be trained with."""
    if trainable(answer.reward):
        return
    errors: dict[int, EnvironmentFailed] = {}
    for i, step, reward in zip(rows.tolist(), elapsed.tolist(), answer.reward.tolist(), strict=True):
        if not abs(reward) < LARGEST:
            errors[i] = NotFinite(
                f"{task}: the team reward was {reward:g} at step {step} of the environment{beyond(reward)}"
            )
    if errors:
        raise StepRaised(errors, answer)


def beyond(value: float) -> str:
    """What to say of a number that is finite and still too large."""
    return ", beyond what float32 holds" if np.isfinite(value) else ""
