"""What tests of populations ask of a member: how far it is, and whether two have learned the same."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from omad_core.events import MemberId, Progress
from omad_core.population import Population

Arrays = Mapping[str, Any]
RATES = [(0.05, 1, 1), (0.05, 2, 3), (0.5, 1, 3), (0.5, 3, 2), (1, 1, 3), (1, 3, 2), (2, 1, 3), (2, 2, 1)]
"""Updates a step, environments a member, critic updates an actor update."""


def advance_to(population: Population, member: MemberId, env_steps: int) -> None:
    """Step by step until a member reaches these environment steps."""
    reached = 0
    while reached < env_steps:
        steps = [e.env_steps for e in population.advance() if isinstance(e, Progress) and e.member == member]
        reached = max([reached, *steps])


def assert_same(left: Arrays, right: Arrays, exact: bool = True) -> None:
    """The same arrays, bit for bit unless batches of two sizes computed them."""
    assert left.keys() == right.keys()
    for name in left:
        if exact:
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)
        else:
            np.testing.assert_allclose(left[name], right[name], rtol=2e-3, atol=2e-4, err_msg=name)


def learned(arrays: Arrays) -> Arrays:
    """What does not depend on the simulator or on the clock."""
    return {k: v for k, v in arrays.items() if not k.startswith(("env/", "measures"))}
