"""The catalog of tasks: what a user may name with `--task`, read without importing a simulator.

Beside these, `module:factory` names any PettingZoo ParallelEnv (see `omad_core.envs.pettingzoo.env`).
"""

from dataclasses import dataclass
from typing import Literal

from omad_core.errors import TaskError
from omad_core.settings import unknown


@dataclass(frozen=True)
class Task:
    """One entry of the catalog."""

    name: str
    """What a user types."""
    title: str
    """What a person reads."""
    kind: Literal["mamujoco", "mpe"]
    """Which family of simulators answers for it."""
    scenario: str
    """Name within the family, such as `Hopper` or `simple_spread`."""
    agents: int
    """Number of learning agents."""
    horizon: int
    """Steps after which an episode is truncated, unless `env.args` says otherwise."""
    terminates: bool
    """Whether an episode can end before its horizon."""
    partition: str = ""
    """MAMuJoCo: how the joints are shared out, such as `3x1`."""
    paper_return: tuple[float, float] | None = None
    """Mean and standard deviation over 5 seeds, arXiv 2602.18291, on older simulators."""
    best_baseline: tuple[str, float] | None = None
    """Name and mean return of the best other method reported there."""


def _mamujoco(
    name: str,
    scenario: str,
    partition: str,
    agents: int,
    terminates: bool,
    paper_return: tuple[float, float] | None = None,
    best_baseline: tuple[str, float] | None = None,
) -> Task:
    title = f"{scenario} {partition} (MAMuJoCo)"
    return Task(
        name, title, "mamujoco", scenario, agents, 1000, terminates, partition, paper_return, best_baseline
    )


def _mpe(
    name: str,
    title: str,
    scenario: str,
    agents: int,
    paper_return: tuple[float, float],
    best_baseline: tuple[str, float],
) -> Task:
    return Task(
        name,
        f"{title} (MPE)",
        "mpe",
        scenario,
        agents,
        horizon=25,
        terminates=False,
        paper_return=paper_return,
        best_baseline=best_baseline,
    )


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        _mamujoco("hopper", "Hopper", "3x1", 3, True),
        _mamujoco("halfcheetah_2x3", "HalfCheetah", "2x3", 2, False, (14369, 1166), ("MASDAC", 10541)),
        _mamujoco("halfcheetah_6x1", "HalfCheetah", "6x1", 6, False),
        _mamujoco("walker2d_2x3", "Walker2d", "2x3", 2, True),
        _mamujoco("walker2d_6x1", "Walker2d", "6x1", 6, True),
        _mamujoco("swimmer_2x1", "Swimmer", "2x1", 2, False, (162, 23), ("MASDAC", 149)),
        _mamujoco("ant_2x4", "Ant", "2x4", 2, True, (7517, 279), ("MASDAC", 7266)),
        _mamujoco("ant_2x4d", "Ant", "2x4d", 2, True),
        _mamujoco("ant_4x2", "Ant", "4x2", 4, True),
        _mamujoco("humanoid_9_8", "Humanoid", "9|8", 2, True),
        _mpe(
            "simple_spread_n3",
            "Cooperative Navigation N=3",
            "simple_spread",
            3,
            (-23.9, 1.1),
            ("HASAC", -25.1),
        ),
        _mpe(
            "simple_spread_n4",
            "Cooperative Navigation N=4",
            "simple_spread",
            4,
            (-57.9, 0.8),
            ("HATD3", -63.0),
        ),
        _mpe(
            "simple_adversary_n2",
            "Physical Deception N=2",
            "simple_adversary",
            2,
            (45.1, 4.1),
            ("HASAC", 45.4),
        ),
    )
}
"""Every task of the catalog by its name."""


def find(name: str) -> Task:
    """The catalog's entry of a name. Raises TaskError with the nearest known name."""
    if name not in TASKS:
        raise TaskError(unknown("task", name, TASKS))
    return TASKS[name]
