"""Evidence: which trainings show how well the algorithm learns, and what is known of each one that finished.

A finished training is one line of JSON; those that have no line yet are missing. So a table grows run by run, on
any machine, and nothing is trained twice.
"""

import dataclasses
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from omad_core.assessment import assess
from omad_core.config import TrainConfig
from omad_core.errors import ConfigError
from omad_core.events import Diverged, Evaluated, Event, Progress
from omad_core.policy import Policy
from omad_core.settings import replace, to_dict, unknown
from omad_core.training import train

SHARED: dict[str, Any] = {
    "random_steps": 1_000,
    "replay_size": 100_000,
    "actor.hidden_width": 64,
    "actor.denoising_steps": 4,
    "critic.hidden_width": 128,
    "critic.quantiles": 16,
    "evaluation.every_steps": 1_000,
}
TASKS: dict[str, dict[str, Any]] = {
    "hopper": {"env_steps": 20_000, "evaluation.episodes": 5},
    "simple_spread_n3": {"env_steps": 15_000, "evaluation.episodes": 20},
}
ALGORITHMS: dict[str, dict[str, Any]] = {
    "omad-quantile": {"actor.kind": "diffusion", "critic.head": "quantile"},
    "omad-categorical": {"actor.kind": "diffusion", "critic.head": "categorical"},
    "omad-cold": {
        "actor.kind": "diffusion",
        "critic.head": "quantile",
        "entropy.mode": "fixed",
        "entropy.alpha": 0.01,
    },
    "gaussian": {"actor.kind": "gaussian", "critic.head": "quantile"},
}
FINAL_EPISODES = 20
WATCHED = ("train/alpha", "train/run_cost_per_dim", "train/q_mean", "train/edge_mass")


@dataclass(frozen=True)
class Cell:
    """One training of the table."""

    task: str
    algorithm: str
    seed: int

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that differs from the defaults."""
        chosen = SHARED | TASKS[self.task] | ALGORITHMS[self.algorithm]
        return {"task": self.task, "seed": self.seed} | chosen

    @property
    def config(self) -> TrainConfig:
        return replace(TrainConfig(), self.settings)


@dataclass(frozen=True)
class Record:
    """What is known of one finished training."""

    task: str
    algorithm: str
    seed: int
    settings: Mapping[str, Any]
    environment: str
    versions: Mapping[str, str]
    finished: str
    """Date and time, UTC."""
    cpu_seconds: float
    curve: tuple[Mapping[str, float], ...]
    """At every evaluation: step, mean return, and what was watched of the updates."""
    final_returns: tuple[float, ...]
    """Whole fresh episodes of the last policy, sampled; empty where the training diverged."""
    diverged: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def of(self, cell: Cell) -> bool:
        """Whether this is the training of a cell: settings that have changed since make it another one."""
        return dict(self.settings) == cell.settings


def plan(seeds: int, tasks: Iterable[str] = TASKS, algorithms: Iterable[str] = ALGORITHMS) -> list[Cell]:
    """All trainings of the table, seed by seed. Raises ConfigError for an unknown task or algorithm."""
    tasks, algorithms = list(tasks), list(algorithms)
    for what, names, known in (("task", tasks, TASKS), ("algorithm", algorithms, ALGORITHMS)):
        for name in names:
            if name not in known:
                raise ConfigError(unknown(what, name, known))
    return [Cell(task, name, seed) for seed in range(seeds) for task in tasks for name in algorithms]


def missing(cells: Iterable[Cell], records: Iterable[Record]) -> list[Cell]:
    """The cells without a record."""
    records = list(records)
    return [cell for cell in cells if not any(record.of(cell) for record in records)]


def perform(cell: Cell) -> Iterator[Event | Record]:
    """Train one cell: its events as they happen, and last its record."""
    began = time.process_time()
    curve: list[dict[str, float]] = []
    watched: Mapping[str, float] = {}
    diverged = None
    for event in train(cell.config):
        match event:
            case Policy():
                final = () if diverged else assess(event, FINAL_EPISODES).returns
                yield _record(cell, event, curve, final, diverged, time.process_time() - began)
                return
            case Progress(metrics=metrics) if metrics:
                watched = {name: metrics[name] for name in WATCHED if name in metrics}
            case Evaluated():
                mean = sum(event.returns) / len(event.returns)
                curve.append({"step": event.env_steps, "return": mean, **watched})
            case Diverged():
                diverged = event.what
        yield event


def _record(
    cell: Cell,
    policy: Policy,
    curve: list[dict[str, float]],
    final: tuple[float, ...],
    diverged: str | None,
    cpu_seconds: float,
) -> Record:
    return Record(
        task=cell.task,
        algorithm=cell.algorithm,
        seed=cell.seed,
        settings=cell.settings,
        environment=policy.spec.env_id,
        versions={**policy.spec.versions, "torch": version("torch")},
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        cpu_seconds=round(cpu_seconds, 1),
        curve=tuple(curve),
        final_returns=final,
        diverged=diverged,
        config=to_dict(cell.config),
    )


def read(path: Path) -> list[Record]:
    """All records of a file, none where there is no file. Raises ConfigError for a line that is not one."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


def _parse(line: str, where: str) -> Record:
    try:
        document = json.loads(line)
        lists = {name: tuple(document[name]) for name in ("curve", "final_returns")}
        return Record(**{**document, **lists})
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{where} is not a record of a training: {error}; remove the line") from error


def append(path: Path, record: Record) -> None:
    """Add one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(dataclasses.asdict(record)) + "\n")
