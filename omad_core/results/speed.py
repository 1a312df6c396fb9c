"""Speed: after how many environment steps a training reaches a level."""

import math
import statistics
from collections.abc import Sequence


def steps_to_level(steps: Sequence[int], returns: Sequence[float], level: float, window: int) -> int | None:
    """Steps at the first evaluation at which the mean of the last `window` ones is at least the level.

    `steps` [n], in order, and `returns` [n], one an evaluation; as long as there are fewer than `window`, none counts,
    so that one lucky evaluation does not. None where it is never reached. Raises ValueError for unequal lengths.
    """
    if len(steps) != len(returns):
        raise ValueError(f"{len(steps)} steps and {len(returns)} returns are no curve")
    for end in range(window, len(returns) + 1):
        if math.fsum(returns[end - window : end]) / window >= level:
            return steps[end - 1]
    return None


def median_steps(reached: Sequence[int | None]) -> float | None:
    """Median over seeds, where those that never reach it count as later than all others.

    None where the median is one of these. Raises ValueError where there are no seeds.
    """
    if not reached:
        raise ValueError("a median needs a seed")
    middle = statistics.median(math.inf if each is None else each for each in reached)
    return middle if math.isfinite(middle) else None
