"""omad-search tasks: what can be named with --task."""

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from cli.options import Json
from cli.show import json_output
from cli.show.console import next_step, out
from cli.show.tables import FoldingTable

if TYPE_CHECKING:
    from omad_core.envs.catalog import Task
    from omad_core.task import TaskSpec

WIDE = 110
"""Columns from which on the simulated world is shown as well."""


def tasks(json: Json = False) -> None:
    """List the tasks: agents, dimensions, horizon, and the paper's return where known."""
    from omad_core.config import EnvConfig
    from omad_core.envs import make_spec
    from omad_core.envs.catalog import TASKS

    specs = {name: make_spec(name, EnvConfig()) for name in TASKS}
    if json:
        json_output.show([_record(task, specs[name]) for name, task in TASKS.items()])
        return
    console = out()
    table = _table([(task, specs[name]) for name, task in TASKS.items()], console.width >= WIDE)
    console.print(FoldingTable(table))
    versions = {package: number for spec in specs.values() for package, number in spec.versions.items()}
    console.print(
        "Environments: " + ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
    )
    console.print("Paper: mean return over 5 seeds, arXiv 2602.18291, on older simulators.")
    console.print("An environment of your own, any PettingZoo ParallelEnv: --task module:factory")
    next_step("run --task hopper")


def _table(entries: "list[tuple[Task, TaskSpec]]", wide: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("task", no_wrap=True)
    if wide:
        table.add_column("world")
    for title in ("agents", "observation", "action", "state", "horizon", "paper"):
        table.add_column(title, justify="left" if title in ("observation", "action") else "right")
    for task, spec in entries:
        table.add_row(task.name, *([spec.env_id] if wide else []), *_row(task, spec))
    return table


def _row(task: "Task", spec: "TaskSpec") -> tuple[str, ...]:
    paper = f"{task.paper_return[0]:,g}" if task.paper_return else ""
    widths = (_widths(spec.obs_dims), _widths(spec.action_dims))
    return (str(spec.num_agents), *widths, str(spec.state_dim), str(spec.horizon), paper)


def _widths(dims: tuple[int, ...]) -> str:
    """One number where all agents agree, else the range of theirs."""
    return str(dims[0]) if len(set(dims)) == 1 else f"{min(dims)} to {max(dims)}"


def _record(task: "Task", spec: "TaskSpec") -> dict[str, Any]:
    return {
        "name": task.name,
        "title": task.title,
        "environment": spec.env_id,
        "versions": spec.versions,
        "agents": spec.agents,
        "observation_widths": spec.obs_dims,
        "action_widths": spec.action_dims,
        "state_width": spec.state_dim,
        "horizon": spec.horizon,
        "paper_return": task.paper_return,
        "best_baseline": task.best_baseline,
    }
