"""omad-search results: the trainings that show how well the algorithm learns, and their table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import words
from cli.console import say

if TYPE_CHECKING:
    from omad_core.evidence import Cell, Record


def results(
    records: Annotated[Path, typer.Option("--records", help="One line of JSON a finished training.")] = Path(
        "docs/results.jsonl"
    ),
    page: Annotated[Path, typer.Option("--page", help="The page that holds the table.")] = Path(
        "docs/results.md"
    ),
    tasks: Annotated[list[str] | None, typer.Option("--task", help="Only this task; repeatable.")] = None,
    algorithms: Annotated[
        list[str] | None, typer.Option("--algorithm", help="Only this algorithm; repeatable.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=100, help="Seeds of each.")] = 3,
    at_most: Annotated[
        int | None, typer.Option("--at-most", min=0, help="Trainings in this call; 0 writes the page alone.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="torch threads.")] = 1,
) -> None:
    """Train what is missing of the evidence, a line of JSON each, and write the page of results."""
    import torch

    from cli.results_page import write
    from omad_core import evidence

    torch.set_num_threads(threads)
    cells = evidence.plan(seeds, tasks or evidence.TASKS, algorithms or evidence.ALGORITHMS)
    write(page, evidence.read(records))
    done = 0
    # Read again before each one: another process may have added lines.
    while (left := evidence.missing(cells, evidence.read(records))) and done != at_most:
        say(f"{len(left)} of {len(cells)} missing; now {_name(left[0])}", stderr=True)
        evidence.append(records, _perform(left[0]))
        write(page, evidence.read(records))
        done += 1
    say(f"{len(cells) - len(left)} of {len(cells)} trainings in {records}; the table is in {page}")


def _name(cell: "Cell") -> str:
    return f"{cell.task}, {cell.algorithm}, seed {cell.seed}"


def _perform(cell: "Cell") -> "Record":
    """Train one cell, a line an evaluation."""
    from omad_core.events import Evaluated
    from omad_core.evidence import Record, perform

    record = None
    for event in perform(cell):
        if isinstance(event, Record):
            record = event
        elif isinstance(event, Evaluated):
            mean = sum(event.returns) / len(event.returns)
            say(f"  step {event.env_steps:,}  return {words.score(mean)}", stderr=True)
    if record is None:
        raise AssertionError("a training ends with its record")
    return record
